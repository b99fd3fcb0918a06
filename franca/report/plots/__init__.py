"""Drawings, one module a subject: data in, matplotlib figure out; no files."""
