"""Networks that the filters ask, wherever their weights come from: pixels in, vectors out."""
