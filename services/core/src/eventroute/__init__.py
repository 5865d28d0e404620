"""What crosses a process boundary in EventRoute, and the pure rules: no sockets outside `eventroute.runtime`."""
