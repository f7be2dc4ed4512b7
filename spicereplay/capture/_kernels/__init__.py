"""Compiled loops over packets, records and segments."""
