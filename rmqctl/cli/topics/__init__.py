"""`rmqctl topic`."""
