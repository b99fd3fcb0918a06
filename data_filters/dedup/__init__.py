"""Deduplication and decontamination: signatures, matches, groups, selection, evaluation images."""
