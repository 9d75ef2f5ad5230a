"""rmqctl: runs a whole Apache RocketMQ cluster on one command."""

__version__ = "0.1.0"
