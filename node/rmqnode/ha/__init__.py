"""Replication: the byte stream by which a slave copies its master's commit log, both ends.

    stream.py          the bytes: reports, block heads, blocks
    master_stream.py   what a master does with them, without I/O
    slave_stream.py    what a slave does with them, without I/O
    slave_links.py     trio: the slaves that are connected to this master
    master_link.py     trio: this slave's connection to its master
    confirmation.py    sends that wait for a slave (SYNC_MASTER)

Knows a log as bytes at physical offsets; which broker has it, and who waits for it, is the broker's.
Source: HAService, HAConnection (RocketMQ 4.5.2).
"""
