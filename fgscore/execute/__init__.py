"""On what machines it runs: devices, Slurm, shares of the work, estimates."""
