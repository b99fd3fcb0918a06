"""Public metadata and images in, training shards out."""
