"""The nameserver: where brokers announce themselves and clients ask which broker has a topic."""
