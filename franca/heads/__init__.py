"""Projection heads and their nested, Matryoshka form."""
