"""Replays SPICE remote desktop captures."""
