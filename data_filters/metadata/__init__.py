"""Metadata filters, one file each. They are conditions in SQL, judged together in one pass."""
