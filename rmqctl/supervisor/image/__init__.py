"""The preloaded image that nodes are forked from: how it is laid out, who forks, and what comes after that process."""
