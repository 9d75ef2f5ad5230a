"""`rmqctl group`."""
