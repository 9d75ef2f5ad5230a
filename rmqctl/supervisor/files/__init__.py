"""What a supervisor leaves on the disk: the record of its processes, the ledger of events, logs with a limit."""
