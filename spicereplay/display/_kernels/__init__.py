"""Compiled inner loops of the display."""
