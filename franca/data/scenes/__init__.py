"""The embedded world: rendered images with every ground truth, and what goes wrong on the web."""
