"""Captures as regression tests of the decoders: what they showed is recorded once and compared ever after.

Not part of the engine: `observe` replays a capture and reduces every picture to a line, `manifest` is the file those
lines lie in, `record` and `check` write it and hold a capture to it.
"""
