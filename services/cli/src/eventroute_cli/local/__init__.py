"""The whole of EventRoute on one machine: the same programs as in a cluster, started and stopped together."""
