"""Image filters, one file each: keep, or drop with a reason. Nothing is repaired or replaced."""
