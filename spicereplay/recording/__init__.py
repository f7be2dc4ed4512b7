"""Writing SPICE sessions as captures that any tool can read: decrypted, one TCP connection per channel."""
