"""Models that others have published, in transformers' layout: a folder, or a hub id whose files are fetched."""
