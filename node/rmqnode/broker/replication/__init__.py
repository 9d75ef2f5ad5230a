"""A broker's part in replication; the stream between master and slave is `rmqnode.ha`'s.

part            what a master tells its slaves, what a slave is, and who waits for them
slave_sync      what a slave takes over besides the log
slave_commits   offsets committed at a slave that its master does not know yet
"""
