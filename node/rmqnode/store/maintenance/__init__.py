"""What people do with a store from outside its broker: look into it, check it, build anew what is damaged.

discovery                   folders and sizes, read off the disk
view                        a look, with or without a running broker
verify                      every record; `queue_check` and `index_check` compare what is derived from it
repair                      what `verify` found
"""
