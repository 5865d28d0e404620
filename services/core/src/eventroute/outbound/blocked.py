"""A connection that the rules refuse: by which rule, and what to do about it."""

from enum import StrEnum

from eventroute.errors import Refused


class Rule(StrEnum):
    """What a refusal is about; a closed set, as these are labels of a metric."""

    SPELLING = "spelling"
    SCHEME = "scheme"
    CREDENTIALS = "credentials"
    PORT = "port"
    HEADER = "header"
    HOST = "host"
    """Not among the hosts that the platform's owner allows."""
    INTERNAL_NAME = "internal_name"
    METADATA = "metadata"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    SHARED = "shared"
    """Behind a provider's own address translation, RFC 6598."""
    LINK_LOCAL = "link_local"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    UNSPECIFIED = "unspecified"
    RESERVED = "reserved"
    DENIED = "denied"
    """Public, and ruled out by the platform's owner."""


class Blocked(Refused):
    """Nothing was connected to, and nothing will be before somebody changes the address or the rules."""

    def __init__(self, shown: str, rule: Rule, why: str) -> None:
        """Take what was to be reached, as it may be shown, and the reason with its fix."""
        super().__init__(f"{shown}: {why}")
        self.rule = rule
