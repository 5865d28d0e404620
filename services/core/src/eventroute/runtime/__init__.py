"""Core's only I/O: settings, logs, metrics, traces, Redis, and the route table that travels through it."""
