"""`rmqctl tail`."""
