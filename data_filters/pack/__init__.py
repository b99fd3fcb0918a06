"""From verdicts to training shards: what goes in, the books, and the card."""
