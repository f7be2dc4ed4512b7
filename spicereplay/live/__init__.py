"""A live client: sockets, a clock and threads around the engine and the client's state machines."""
