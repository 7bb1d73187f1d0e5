"""The feature cache on disk: HDF5 shards with sealed JSON beside them, Parquet for the index (design: one directory an
artefact, named for people, addressed by the digest of its recipe)."""
