"""Compiled loops of the analysis."""
