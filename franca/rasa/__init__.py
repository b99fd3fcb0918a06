"""Removal of Absolute Spatial Attributes: dense features without linear position."""
