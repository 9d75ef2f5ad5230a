"""The supervised nodes: their states, what changes them, how they are started and stopped, together or by hand."""
