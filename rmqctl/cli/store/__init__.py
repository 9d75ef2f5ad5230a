"""`rmqctl store`: store directories of either engine, without a running broker."""
