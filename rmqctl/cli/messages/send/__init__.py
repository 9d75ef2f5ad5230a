"""`rmqctl send`: `command.py` is its surface, `source.py` where its messages come from, `run.py` how they go out."""
