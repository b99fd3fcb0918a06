"""Features that are the ground truth itself."""
