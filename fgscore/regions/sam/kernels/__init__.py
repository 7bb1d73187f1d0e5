"""SAM on a CPU: compiled loops, and the products between them."""
