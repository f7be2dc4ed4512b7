"""Every SPICE message, declared once; a module per channel, and what they share."""
