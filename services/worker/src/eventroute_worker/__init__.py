"""The working program: takes queued deliveries to Claude, and the answers to their sinks.

The way of a delivery: `worker` (leases it) → `run` (the order of steps) → `record` (what was saved) → `history` →
eventroute.prompt → `claude` → `sinks` → `worker` (settles it). What is written to Redis in more than one step is a
script of `lua/`, with its contract in its header.
"""
