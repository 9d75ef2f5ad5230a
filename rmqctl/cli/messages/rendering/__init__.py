"""A message on a terminal, in a pipe or as JSON: `rmqctl tail`, `message get` and `store inspect` print alike."""
