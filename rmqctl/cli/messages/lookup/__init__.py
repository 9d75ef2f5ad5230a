"""`rmqctl message`: single messages, and what became of them."""
