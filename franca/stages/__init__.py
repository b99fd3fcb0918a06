"""One module per stage of the model half, each with one `run`."""
