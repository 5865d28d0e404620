"""What the URL of a PostgreSQL database means: read once, strictly, so that libpq is told parameters and never a URL.

libpq would take much more than a host: several hosts, sockets, service files, `options` for the server, files of this
machine. Only what is listed here is taken; anything else is refused by its name. Pure, and shows nothing of the URL
but names of parameters.
Source: https://www.postgresql.org/docs/current/libpq-connect.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args
from urllib.parse import unquote

from eventroute.errors import Refused
from eventroute.outbound.blocked import Blocked, Rule
from eventroute.outbound.rules import OutboundRules
from eventroute.outbound.target import Endpoint, read_endpoint

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

_URL: Final = re.compile(
    r"postgres(?:ql)?://(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]+))?/(?P<name>[^/?#]+)(?:\?(?P<query>[^#]*))?"
)
_FORM: Final = "`postgresql://user:password@host:5432/database`, with %40 for @ and the like in user and password"
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DEFAULT_PORT: Final = "5432"
_MAX_DIGITS: Final = 5
_SSL_MODES: Final = get_args(SslMode)
_BINDINGS: Final = ("disable", "prefer", "require")
_IN_THE_CLEAR: Final = frozenset({"disable", "allow", "prefer"})
"""What goes without TLS, or may."""
_WORD: Final = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class Database:
    """Where a database is, and as whom to log in there."""

    host: str
    """An IPv6 address without brackets."""
    port: int
    user: str = field(repr=False)
    password: str = field(repr=False)
    name: str = field(repr=False)
    ssl_mode: SslMode | None = None
    """None = the URL does not say."""
    channel_binding: str = "prefer"


def parse_database(url: str) -> Database:
    """Read a URL that somebody stored; raises `Refused`, which tells neither user nor password, host nor database."""
    found = _URL.fullmatch(url)
    if found is None:
        raise Refused(f"this is not the URL of one PostgreSQL database, {_FORM}")
    user, password, name = (_decoded(found[part] or "") for part in ("user", "password", "name"))
    if not user:
        raise Refused(f"the URL names no user; write {_FORM}")
    port = found["port"] or _DEFAULT_PORT
    if port.startswith("0") or len(port) > _MAX_DIGITS:
        raise Refused("the URL's port is no number from 1 to 65535")
    said = _parameters(found["query"] or "")
    ssl_mode = said.get("sslmode")
    if ssl_mode is not None and ssl_mode not in _SSL_MODES:
        raise Refused("the URL's sslmode is none of PostgreSQL's; write `sslmode=verify-full`, or `require`")
    binding = said.get("channel_binding", "prefer")
    if binding not in _BINDINGS:
        raise Refused(
            "the URL's channel_binding is none of PostgreSQL's; write `channel_binding=require`, or leave it out"
        )
    host = found["host"].removeprefix("[").removesuffix("]").lower()
    return Database(host, int(port), user, password, name, cast("SslMode | None", ssl_mode), binding)


def check_database(database: Database, rules: OutboundRules) -> Endpoint:
    """Judge where it is, as far as that can be told without asking where the host is; raises `Blocked`."""
    endpoint = read_endpoint(database.host, database.port, rules)
    if database.ssl_mode in _IN_THE_CLEAR and not (endpoint.is_local or endpoint.is_private):
        why = f"sslmode={database.ssl_mode} may send everything in the clear; write `sslmode=verify-full`, or `require`"
        raise Blocked(str(endpoint), Rule.SCHEME, why)
    return endpoint


def ssl_mode_of(database: Database, endpoint: Endpoint) -> SslMode:
    """Choose how TLS is used: as the URL says, on this machine where the server has it, else always."""
    return database.ssl_mode or ("prefer" if endpoint.is_local else "require")


def _parameters(query: str) -> Mapping[str, str]:
    said: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in {"sslmode", "channel_binding"}:
            shown = f"`{name}`" if _WORD.fullmatch(name) else "that it has"
            raise Refused(f"the URL's parameter {shown} is not taken; only sslmode and channel_binding are")
        if name in said:
            raise Refused(f"the URL says {name} twice")
        said[name] = value
    return said


def _decoded(text: str) -> str:
    """Read %-sequences; raises `Refused`."""
    if _PERCENT.search(text):
        raise Refused(f"the URL has a % that begins no %-sequence; write %25 for it: {_FORM}")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refused("the URL's %-sequences are not UTF-8") from None
    if not decoded.isprintable():
        raise Refused("the URL holds a control character")
    return decoded
