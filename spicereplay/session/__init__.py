"""One client's connection to one server: its channels together."""
