"""The command line: one module per command group, found through the literal table in `rmqctl.cli.app`."""
