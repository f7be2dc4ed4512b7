"""Compiled loops over message headers."""
