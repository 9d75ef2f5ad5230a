"""The thin trio layer: listening sockets, connections, dispatch of requests, and an outgoing client."""
