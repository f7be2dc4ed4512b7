"""What a client decides: which messages it sends, and when, in answer to what it receives.

A state machine per channel. Messages and the time go in, messages to send come out; nothing here opens a socket,
waits, logs or reads a clock. `spicereplay.live` drives it; a test drives it with a table.
"""
