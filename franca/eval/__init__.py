"""Benchmarks: pure functions of cached features and labels."""
