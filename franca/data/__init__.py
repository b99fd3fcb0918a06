"""From shards and data sets to batches; and the embedded procedural world."""
