"""fgscore: score, pool and probe CLIP embeddings of image regions from a feature cache.

Importing this package loads nothing heavy: no torch, no scikit-learn, no HDF5.
"""

__version__ = "0.1.0"
