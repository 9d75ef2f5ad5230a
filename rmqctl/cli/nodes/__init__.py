"""Commands about single nodes: `start`, `stop`, `restart`, `kill`, `logs`, `events`, `conf`."""
