"""Clustering targets and the losses that use them."""
