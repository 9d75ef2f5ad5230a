"""The control socket: both ends of it, and who hears of events."""
