"""What SPICE says: every message, both header forms, the link stage; no files, no clocks, no pixels."""
