"""Where images come from: tables of URLs, and local collections listed into the same columns."""
