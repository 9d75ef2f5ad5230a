"""Clusters as systemd units: what the units say, where they go, and how systemd is told.

A cluster is either one unit, whose main process is the cluster's own supervisor, or (`--per-node`) one unit for each
node below a target, and then systemd is the supervisor.
"""
