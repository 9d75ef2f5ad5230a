"""Handlers of requests: plain functions over the `Broker`, one module per kind of request.

A handler returns a `Reply`, an outcome of `rmqnode.broker.outcome`, or None when there is nothing to answer. It
never waits and knows no socket, so that a test of it is a call.
"""
