"""What a URL, or a host and a port, means to the rules: read once, strictly, in the one spelling that nobody misreads.

What is refused here for its spelling some parser somewhere understands as another host than the next one does. Pure:
where a name leads is asked afterwards, and each address then judged by `check_address`.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from eventroute.outbound.address import LISTABLE, Address, carried_by, kind_of, plain, read_address
from eventroute.outbound.blocked import Blocked, Rule
from eventroute.outbound.rules import OutboundRules, matches

_MAX_URL: Final = 8000  # what servers take in a request's first line is about 8 KiB
_MAX_NAME: Final = 253
_MAX_PORT: Final = 65535
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}

_URL: Final = re.compile(r"([a-z]+)://([^/?]*)([^?]*)(\?.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_PATH: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")  # RFC 3986, path and query
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SHOWN: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)(?:[^/?#\\]*@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?"
)
_SHOWN_CHARACTERS: Final = 120

_METADATA_NAMES: Final = frozenset(
    {
        "metadata",
        "instance-data",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data.ec2.internal",
        "metadata.azure.internal",
        "metadata.tencentyun.com",
        "api.metadata.cloud.ibm.com",
        "metadata.packet.net",
        "metadata.platformequinix.com",
    }
)
_INTERNAL_ENDS: Final = tuple(
    f".{end}"
    for end in (
        *("svc", "cluster.local", "internal", "local", "localdomain", "home.arpa"),
        *("intranet", "private", "corp", "home", "lan", "consul"),
    )
)
"""What names of clusters, clouds and private networks end in; nobody sells names of these ends."""

_LISTING: Final = "the platform's owner can list it under outbound.{field} of the chart"
_WHY: Final = {
    Rule.METADATA: "is where a cloud gives out credentials; nothing may connect to it",
    Rule.LOOPBACK: "is the worker's own machine; name the service's address, or run `eventroute dev`",
    Rule.PRIVATE: f"is a private address; {_LISTING.format(field='privateCIDRs')}",
    Rule.SHARED: f"is an address of a provider's own network; {_LISTING.format(field='privateCIDRs')}",
    Rule.LINK_LOCAL: "is an address of the link between two machines; nothing may connect to it",
    Rule.MULTICAST: "is an address of many machines; name one",
    Rule.BROADCAST: "is an address of all machines; name one",
    Rule.UNSPECIFIED: "is no machine's address; name one",
    Rule.RESERVED: "is an address that is not publicly assigned; name the service's own",
    Rule.DENIED: "is among outbound.deniedCIDRs of the chart, which the platform's owner has ruled out",
}


@dataclass(frozen=True)
class Endpoint:
    """A host and a port that are allowed, as far as that can be told without asking where the host is."""

    host: str
    """In lower case; an address without brackets."""
    port: int
    address: Address | None
    """Where `host` is one."""
    is_local: bool
    """Whether it is this machine by its name already, as `dev` allows."""
    is_private: bool
    """Whether the platform's owner lists it as private."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Target:
    """A URL that is allowed."""

    scheme: Literal["https", "http"]
    endpoint: Endpoint
    path: str = field(repr=False)
    """With the query, as it is sent; begins with `/`."""

    @property
    def authority(self) -> str:
        """What the header `Host` says."""
        is_default = self.endpoint.port == _DEFAULT_PORTS[self.scheme]
        return str(self.endpoint).rpartition(":")[0] if is_default else str(self.endpoint)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}/…"  # paths hold secrets too, Slack's for one


def read_url(url: str, rules: OutboundRules) -> Target:
    """Read a URL that somebody wrote; raises `Blocked`, which shows neither its path nor its query nor credentials."""
    shown = show(url)
    scheme, authority, path, query = _split(url, shown)
    if scheme not in _DEFAULT_PORTS:
        raise Blocked(shown, Rule.SCHEME, "its scheme is none of ours; write https://")
    host, port = _host_and_port(authority, shown)
    endpoint = _endpoint(host, _DEFAULT_PORTS[scheme] if port is None else port, rules, shown)
    if scheme == "http" and not (endpoint.is_local or endpoint.is_private):
        raise Blocked(shown, Rule.SCHEME, "http sends everything in the clear; write https://")
    return Target("https" if scheme == "https" else "http", endpoint, (path or "/") + query)


def read_endpoint(host: str, port: int, rules: OutboundRules) -> Endpoint:
    """Read a host (an IPv6 address without brackets) and a port of something that is not HTTP; raises `Blocked`."""
    shown = show(f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}").removeprefix("tcp://")
    return _endpoint(host.lower(), port, rules, shown)


def check_address(text: str, endpoint: Endpoint, rules: OutboundRules) -> str:
    """Judge one of the addresses that an endpoint's name leads to; returns it as it is to be connected to.

    raises  `Blocked`
    """
    address = read_address(text)
    if address is None:
        raise Blocked(str(endpoint), Rule.LINK_LOCAL, f"leads to {text}, which means one link of this machine")
    if (rule := _against(address, endpoint, rules)) is not None:
        subject = "it" if endpoint.address else f"leads to {address}, which"
        raise Blocked(str(endpoint), rule, f"{subject} {_WHY[rule]}")
    if endpoint.is_local and kind_of(address) is not Rule.LOOPBACK:
        raise Blocked(
            str(endpoint), Rule.LOOPBACK, f"leads to {address}, which is not this machine; mend its hosts file"
        )
    return str(plain(address))


def show(url: str) -> str:
    """Write scheme and host of a URL, well-formed or not, without what may be secret in it."""
    found = _SHOWN.match(url)
    if found is None:
        return "URL"
    rest = url[found.end() :]
    if "@" in rest.partition("?")[0]:
        return f"{found[1]}…"  # a password with a slash in it looks like a host and a path
    text = f"{found[1]}{found[2]}{found[3] or ''}"
    return f"{text[:_SHOWN_CHARACTERS]}{'/…' if rest.strip('/') else ''}"


def _split(url: str, shown: str) -> tuple[str, str, str, str]:
    if len(url) > _MAX_URL:
        raise Blocked(shown, Rule.SPELLING, f"it is longer than {_MAX_URL} characters; shorten it")
    if "#" in url:
        raise Blocked(shown, Rule.SPELLING, "what follows # is never sent; leave it out, or write %23")
    found = _URL.fullmatch(url)
    if found is None:
        raise Blocked(shown, Rule.SPELLING, "it is no URL; write https://host/path")
    scheme, authority, path, query = found.groups(default="")
    if "@" in authority:
        raise Blocked(
            shown, Rule.CREDENTIALS, "user and password in a URL are shown and logged; use a header of a Secret"
        )
    if not _PATH.fullmatch(path) or not _PATH.fullmatch(query):
        raise Blocked(shown, Rule.SPELLING, "percent-encode what is not a letter, digit or sign of URLs after the host")
    return scheme.lower(), authority, path, "" if query == "?" else query  # no query and an empty one are sent alike


def _host_and_port(authority: str, shown: str) -> tuple[str, int | None]:
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise Blocked(shown, Rule.SPELLING, "its host is no name or address; write https://host or https://host:port")
    host, digits = found.groups()
    if digits is not None and (not digits or digits.startswith("0") or len(digits) > len(str(_MAX_PORT))):
        raise Blocked(shown, Rule.SPELLING, f"its port is no number from 1 to {_MAX_PORT}")
    if host.startswith("[") and ":" not in host:
        raise Blocked(shown, Rule.SPELLING, "only an IPv6 address stands in brackets")
    return host.removeprefix("[").removesuffix("]").lower(), None if digits is None else int(digits)


def _endpoint(host: str, port: int, rules: OutboundRules, shown: str) -> Endpoint:
    address = _read_host(host, shown)
    name = str(address) if address else host
    is_local = rules.mode == "dev" and (_is_localhost(name) or (address is not None and _is_loopback(address)))
    is_private = any(matches(pattern, name) for pattern in rules.private_hosts) or (
        address is not None and any(plain(address) in network for network in rules.private_cidrs)
    )
    endpoint = Endpoint(name, port, address, is_local=is_local, is_private=is_private)
    if not 0 < port <= _MAX_PORT or not (is_local or port in rules.ports):
        allowed = ", ".join(map(str, rules.ports)) or "none"
        raise Blocked(shown, Rule.PORT, f"port {port} is not allowed; outbound.ports of the chart are: {allowed}")
    if not address and not is_local:
        _check_name(endpoint, shown)
    if rules.allowed_hosts and not is_private and not any(matches(pattern, name) for pattern in rules.allowed_hosts):
        allowed = ", ".join(rules.allowed_hosts)
        raise Blocked(shown, Rule.HOST, f"{name} is not allowed; allowedHosts of the platform's policy are: {allowed}")
    if address:
        check_address(name, endpoint, rules)
    return endpoint


def _read_host(host: str, shown: str) -> Address | None:
    """Tell whether a host is an address; raises `Blocked` where it is neither that nor a name."""
    if ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]):
        if (address := read_address(host)) is None:
            raise Blocked(shown, Rule.SPELLING, "its address is written in a way of which programs read different ones")
        return address
    if len(host) > _MAX_NAME or not _NAME.fullmatch(host):
        why = "its host is no name: letters, digits and - in ASCII (xn--… for others), with single dots between them"
        raise Blocked(shown, Rule.SPELLING, why)
    return None


def _check_name(endpoint: Endpoint, shown: str) -> None:
    name = endpoint.host
    if name in _METADATA_NAMES:
        raise Blocked(shown, Rule.METADATA, f"{name} {_WHY[Rule.METADATA]}")
    if _is_localhost(name):
        raise Blocked(shown, Rule.LOOPBACK, f"{name} {_WHY[Rule.LOOPBACK]}")
    if not endpoint.is_private and ("." not in name or name.endswith(_INTERNAL_ENDS)):
        why = f"{name} is a name within a private network; {_LISTING.format(field='privateHosts')}"
        raise Blocked(shown, Rule.INTERNAL_NAME, why)


def _against(address: Address, endpoint: Endpoint, rules: OutboundRules) -> Rule | None:
    if any(each in network for each in (address, *carried_by(address)) for network in rules.denied_cidrs):
        return Rule.DENIED
    kind = kind_of(address)
    if kind is Rule.LOOPBACK and rules.mode == "dev" and _is_loopback(address):
        return None
    if kind in LISTABLE and not any(carried_by(plain(address))):
        is_listed = endpoint.is_private or any(plain(address) in network for network in rules.private_cidrs)
        return None if is_listed else kind
    return kind


def _is_loopback(address: Address) -> bool:
    """Leave out what only carries such an address: it leads elsewhere."""
    return plain(address).is_loopback


def _is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")
