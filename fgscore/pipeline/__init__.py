"""The stages as library calls: each joins the store with regions, encoders and data sets (GPU half) or with scorers,
pooling and probes (CPU half). The only package that sees both."""
