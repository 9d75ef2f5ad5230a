"""`rmqctl engine`, and what is shown of an installation, whoever asked for it."""
