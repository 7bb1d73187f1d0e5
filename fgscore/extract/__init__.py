"""All that needs photos: the index, thumbnails, regions and embeddings, shard by shard into the store."""
