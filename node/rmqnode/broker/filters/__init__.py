"""Filters of consumers by SQL92: which group has which, and the compiled ones. What they mean is `rmqnode.filter`'s."""
