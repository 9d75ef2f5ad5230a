"""What people do with a store from outside its broker: look into it, check it, build anew what is damaged.

discovery                   folders and sizes, read off the disk
view                        a look, with or without a running broker
verify                      every record; `queue_check` and `index_check` compare what is derived from it
found_files, found_queues   what of a folder fits, and what a broker would refuse
config_check                tables and marks beside log and queues
known_damage                what the broker noted as damaged
repair                      what `verify` found
replica                     damaged bytes of the log, taken from another store that has them whole
"""
