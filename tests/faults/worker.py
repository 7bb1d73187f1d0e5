"""The fgscore command line with small shards, so that a small data set has many; run as a process of its own."""

import os
import resource
import sys

from fgscore.store import index
from fgscore_stages.cli import app

index.IMAGES_PER_SHARD = int(os.environ.get("FAULTS_SHARD", "8"))
if limit := int(os.environ.get("FAULTS_FILE_LIMIT", "0")):  # a disk that is full for every larger file
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if __name__ == "__main__":
    sys.exit(app())
