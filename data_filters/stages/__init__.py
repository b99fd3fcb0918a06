"""One module per stage of the data half, each with one `run`."""
