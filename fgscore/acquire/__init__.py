"""Before a run: download, unpack, check."""
