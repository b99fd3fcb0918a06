"""Composition root: the only code that knows both packages; nothing imports it."""
