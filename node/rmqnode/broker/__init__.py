"""The broker: its tables, the table of requests with its handlers, and the services that run beside them."""
