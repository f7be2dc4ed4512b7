"""Smaller captures out of larger ones: a span of time, or only what still shows a fault."""
