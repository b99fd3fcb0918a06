"""A published selection fetched again, and what the web has lost of it since."""
