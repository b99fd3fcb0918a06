"""Reading and writing: atomic files, parquet and tar whose bytes repeat, pixels, processes."""
