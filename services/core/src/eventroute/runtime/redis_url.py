"""The one grammar of Redis URLs, the same for every program. What it does not name is refused, not ignored.

    redis://[user:password@]host[:6379][/database]
    rediss://[user:password@]host[:6379][/database]                             TLS
    unix://[user:password@]/path/of/the/socket[?db=database]
    redis+sentinel://[user:password@]host[:26379][,host…]/master[/database]     whichever server is the primary
    rediss+sentinel://…                                                         TLS to Sentinels and servers alike
    redis+cluster://[user:password@]host[:6379][,host…]     some servers of a Redis Cluster, to ask where keys are
    rediss+cluster://…                                                          TLS to all of them

    ?ssl_ca_certs=/path       who may have signed the server's certificate; without it, whom the system trusts
    ?ssl_certfile=/path&ssl_keyfile=/path       our own certificate, for servers that ask for one
    ?sentinel_username=…&sentinel_password=…    for Sentinels that ask for a password; those before `@` are the servers'

Certificates and host names are always checked: there is no option against it. Sentinels must name servers as the
certificates do (`resolve-hostnames`, `announce-hostnames`, or certificates for IP addresses). A user without a name is
`default` (`redis://:password@host`). In names and passwords, characters that mean something in URLs are
percent-encoded. A cluster has no databases but 0; servers must announce addresses that programs can reach.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

from eventroute.errors import Refused
from eventroute.secret import Secret

_SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
_SLOTS: Final = 16_384  # of a cluster
_HOME: Final = "g0"  # hash tag of what belongs to the installation as a whole
_URL: Final = re.compile(r"([a-z+]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.DOTALL)  # RFC 3986, appendix B
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:\[\]]*))(?::([0-9]{1,5}))?")
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_MAX_PORT: Final = 65535

_ENCODED: Final = "a /, ? or # in a password is percent-encoded"
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")


class Address(NamedTuple):
    """Where a server or a Sentinel listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Login:
    """A user and its password."""

    username: str
    password: Secret


@dataclass(frozen=True)
class Tls:
    """Files in PEM; a certificate of our own comes with its key."""

    ca_certs: Path | None
    certfile: Path | None
    keyfile: Path | None


@dataclass(frozen=True)
class RedisUrl:
    """Where Redis is, and how to come in. Does not print passwords."""

    addresses: tuple[Address, ...]
    """The server; with a `master` the Sentinels, in a cluster some servers of it; none with a `socket`."""
    socket: str | None
    """Path of a unix socket."""
    master: str | None
    """What the Sentinels call the servers of which one is the primary."""
    login: Login | None
    sentinel_login: Login | None
    database: int
    tls: Tls | None
    slot: int | None = None
    """In a cluster, of which keys this is about; None where there is no cluster."""

    def at(self, tag: str) -> "RedisUrl":
        """Mean the server that has the keys with this hash tag; the same where there is no cluster."""
        return self if self.slot is None else replace(self, slot=_slot(tag))


def parse_redis_url(url: str) -> RedisUrl:
    """Read a URL; raises `Refused` that names the part and shows nothing of it: any part may hold a password."""
    found = _URL.fullmatch(url)
    if found is None or found[1] not in _SCHEMES:
        raise _refused("scheme", f"is none of {', '.join(_SCHEMES)}")
    scheme, authority, path, query, fragment = found.groups()
    userinfo, at, hosts = authority.rpartition("@")
    has_sentinels, is_cluster, is_socket = scheme.endswith("+sentinel"), scheme.endswith("+cluster"), scheme == "unix"
    addresses = (
        _no_addresses(hosts)
        if is_socket
        else _addresses(
            hosts, default_port=_SENTINEL_PORT if has_sentinels else _PORT, takes_several=has_sentinels or is_cluster
        )
    )
    if fragment:
        raise _refused("fragment", "there is none; a # in a password is written %23")
    options = _options(query, scheme=scheme)
    master, database = _master(path) if has_sentinels else (None, path.strip("/"))
    return RedisUrl(
        addresses=addresses,
        socket=_socket(path) if is_socket else None,
        master=master,
        login=_login(userinfo) if at else None,
        sentinel_login=_sentinel_login(options),
        database=_database(options.get("db", "") if is_socket else database),
        tls=_tls(options) if scheme.startswith("rediss") else None,
        slot=_slot(_HOME) if is_cluster else None,
    )


def _refused(part: str, trouble: str) -> Refused:
    return Refused(f"Redis URL: {part}: {trouble}")


def _slot(tag: str) -> int:
    return binascii.crc_hqx(tag.encode(), 0) % _SLOTS  # CRC-16/XMODEM, as the cluster specification says


def _addresses(hosts: str, *, default_port: int, takes_several: bool) -> tuple[Address, ...]:
    names = hosts.split(",")
    if len(names) > 1 and not takes_several:
        raise _refused("host", "several are for Sentinels or a cluster: redis+sentinel://, redis+cluster://")
    return tuple(_address(name, default_port) for name in names)


def _address(name: str, default_port: int) -> Address:
    found = _ADDRESS.fullmatch(name)
    port = default_port if found is None or found[3] is None else int(found[3])
    if found is None or not 0 < port <= _MAX_PORT:
        raise _refused("host", f"is no name or address with a port up to {_MAX_PORT}; {_ENCODED}")
    if not (host := found[1] or found[2]):
        raise _refused("host", f"is missing; {_ENCODED}")
    return Address(host, port)


def _no_addresses(hosts: str) -> tuple[Address, ...]:
    if hosts:
        raise _refused("host", "a unix socket has none; its path begins with a third slash")
    return ()


def _socket(path: str) -> str:
    if not path.strip("/"):
        raise _refused("path", "of the socket is missing")
    return unquote(path)


def _master(path: str) -> tuple[str, str]:
    """Split what comes after the Sentinels into the name of the master and the database."""
    master, _, database = path.strip("/").partition("/")
    if not master:
        raise _refused("master", "is missing: what the Sentinels call it comes after them and a slash")
    return unquote(master), database


def _login(userinfo: str) -> Login:
    username, colon, password = userinfo.partition(":")
    if not colon:
        raise _refused("password", "is missing: user:password@, or :password@ for the default user")
    return Login(unquote(username) or "default", Secret(unquote(password).encode()))


def _options(query: str | None, *, scheme: str) -> Mapping[str, str]:
    known = (
        *(_TLS_OPTIONS if scheme.startswith("rediss") else ()),
        *(_SENTINEL_OPTIONS if scheme.endswith("+sentinel") else ()),
        *(("db",) if scheme == "unix" else ()),
    )
    options: dict[str, str] = {}
    for option in query.split("&") if query else ():
        name, _, value = option.partition("=")
        if name not in known or name in options:
            raise _refused("options", f"{scheme}:// takes {', '.join(known) or 'none'}, each once")
        if not value:
            raise _refused("options", f"{name} is empty")
        options[name] = unquote(value)
    return options


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise _refused("database", "is no number")
    return int(text or 0)


def _sentinel_login(options: Mapping[str, str]) -> Login | None:
    password = options.get("sentinel_password")
    if password is not None:
        return Login(options.get("sentinel_username", "default"), Secret(password.encode()))
    if "sentinel_username" in options:
        raise _refused("options", "sentinel_username needs sentinel_password")
    return None


def _tls(options: Mapping[str, str]) -> Tls:
    ca_certs, certfile, keyfile = (Path(options[name]) if name in options else None for name in _TLS_OPTIONS)
    if (certfile is None) != (keyfile is None):
        raise _refused("options", "ssl_certfile and ssl_keyfile need each other")
    return Tls(ca_certs, certfile, keyfile)
