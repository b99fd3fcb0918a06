"""Backbones: architectures, forward pass, weights in and out."""
