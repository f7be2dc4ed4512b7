"""What may lie between TCP and SPICE: a byte stream in, a byte stream out."""
