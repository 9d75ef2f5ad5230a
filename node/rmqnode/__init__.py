"""The nodes of a RocketMQ cluster: nameserver and broker, in Python on trio."""
