"""The one error tree, ordered by what the caller should do.

    EventRouteError
    ├── Refused       never retry: the input is wrong, and the message names the object and the fix
    ├── RetryLater    try again, after `delay_s` where it is known
    └── GaveUp        permanent: surface it to a person

Each edge (HTTP, Redis, Claude, the command line) translates once, into or out of this tree.
"""


class EventRouteError(Exception):
    """Base of every error that EventRoute raises on purpose."""


class Refused(EventRouteError):
    """The input cannot be accepted, now or later."""


class RetryLater(EventRouteError):
    """The same call may succeed later."""

    def __init__(self, message: str, *, delay_s: float | None = None) -> None:
        """Take the reason and, where the other side named one, the wait in seconds."""
        super().__init__(message)
        self.delay_s = delay_s


class GaveUp(EventRouteError):
    """No further attempt will be made; somebody has to look."""
