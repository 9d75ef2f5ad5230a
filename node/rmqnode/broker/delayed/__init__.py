"""Delayed messages: what the levels are, and who puts a message into its real topic when it is due."""
