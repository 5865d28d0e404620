"""Which connections to the outside sinks and tools may have. Pure; `eventroute_worker.outbound` makes them.

read_url, read_endpoint,
check_database ──▶ (the worker asks where the name leads) ──▶ check_address, for every address of the answer
"""

from eventroute.outbound.address import public_blocks
from eventroute.outbound.blocked import Blocked, Rule
from eventroute.outbound.database import Database, check_database, parse_database, ssl_mode_of
from eventroute.outbound.rules import HOST_PATTERN, HostPattern, OutboundRules, matches
from eventroute.outbound.target import Endpoint, Target, check_address, read_endpoint, read_url, show

__all__ = [
    "HOST_PATTERN",
    "Blocked",
    "Database",
    "Endpoint",
    "HostPattern",
    "OutboundRules",
    "Rule",
    "Target",
    "check_address",
    "check_database",
    "matches",
    "parse_database",
    "public_blocks",
    "read_endpoint",
    "read_url",
    "show",
    "ssl_mode_of",
]
