"""From kept rows to raw shards: img2dataset behind a guarded opener, or a copy of local bytes."""
