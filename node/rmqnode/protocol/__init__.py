"""Sans-I/O: bytes and values of RocketMQ's remoting protocol. No sockets, files, tasks or clocks."""
