"""The command line: a package for what a user does with, `app.py` the table of all commands.

`options.py` are the options that mean the same everywhere, `session.py` is a conversation with a cluster, `output.py`
everything that is printed.
"""
