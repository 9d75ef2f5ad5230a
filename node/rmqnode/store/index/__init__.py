"""The index: which messages have which key.

message_index   how far the index is, what is on disk of it, questions to it
entries         which keys a message of the log has
files, file     all files of the index, and the layout of one
key_hash        what stands there for a key
"""
