"""What kind of address an address is, whatever form it comes in. Pure: it is told addresses, and looks nothing up.

Python's `ipaddress` does not answer this: it calls some addresses global that lead to private ones, and its answers
have changed between patch versions. So IPv4 addresses that others carry are looked at first, then one table, which is
all of IANA's special-purpose registries for IPv4; of IPv6 only what is public is listed, everything else is reserved.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from eventroute.outbound.blocked import Rule

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA: Final[Sequence[Network]] = tuple(
    map(
        ip_network,
        (
            "169.254.169.254/32",  # most clouds
            "169.254.170.2/32",  # AWS, credentials of containers
            "169.254.170.23/32",  # AWS, credentials of pods
            "169.254.0.23/32",  # Tencent
            "169.254.42.42/32",  # Scaleway
            "100.100.100.200/32",  # Alibaba
            "192.0.0.192/32",  # Oracle
            "168.63.129.16/32",  # Azure: a public address that each machine sees as its host
            "fd00:ec2::254/128",  # AWS
            "fd00:ec2::23/128",  # AWS, credentials of pods
            "fd20:ce::254/128",  # Google
            "fd00:c1::a9fe:a9fe/128",  # Oracle
            "fd00:42::42/128",  # Scaleway
            "fd00:a9fe:a9fe::1/128",  # Akamai
            "fe80::a9fe:a9fe/128",  # OpenStack
        ),
    )
)
"""Where clouds give credentials to whoever asks from inside."""

_V4: Final[Sequence[tuple[IPv4Network, Rule]]] = tuple(
    (IPv4Network(network), rule)
    for network, rule in (
        ("0.0.0.0/32", Rule.UNSPECIFIED),
        ("255.255.255.255/32", Rule.BROADCAST),
        ("0.0.0.0/8", Rule.RESERVED),  # "this network"
        ("10.0.0.0/8", Rule.PRIVATE),
        ("100.64.0.0/10", Rule.SHARED),
        ("127.0.0.0/8", Rule.LOOPBACK),
        ("169.254.0.0/16", Rule.LINK_LOCAL),
        ("172.16.0.0/12", Rule.PRIVATE),
        ("192.0.0.0/24", Rule.RESERVED),  # protocols' own
        ("192.0.2.0/24", Rule.RESERVED),  # documentation
        ("192.88.99.0/24", Rule.RESERVED),  # relays of 6to4
        ("192.168.0.0/16", Rule.PRIVATE),
        ("198.18.0.0/15", Rule.PRIVATE),  # for measurements; clouds give it to pods
        ("198.51.100.0/24", Rule.RESERVED),  # documentation
        ("203.0.113.0/24", Rule.RESERVED),  # the same
        ("224.0.0.0/4", Rule.MULTICAST),
        ("240.0.0.0/4", Rule.PRIVATE),  # never assigned; clouds give it to pods
    )
)
"""The first that holds an address counts; what none of them holds is public."""

_V6: Final[Sequence[tuple[IPv6Network, Rule]]] = tuple(
    (IPv6Network(network), rule)
    for network, rule in (
        ("::/128", Rule.UNSPECIFIED),
        ("::1/128", Rule.LOOPBACK),
        ("fc00::/7", Rule.PRIVATE),
        ("fe80::/10", Rule.LINK_LOCAL),
        ("fec0::/10", Rule.PRIVATE),  # of a site, as it was called before fc00::/7
        ("ff00::/8", Rule.MULTICAST),
        ("2001::/23", Rule.RESERVED),  # protocols' own, Teredo among them
        ("2001:db8::/32", Rule.RESERVED),  # documentation
        ("2002::/16", Rule.RESERVED),  # 6to4
        ("3fff::/20", Rule.RESERVED),  # documentation
    )
)
_GLOBAL: Final = IPv6Network("2000::/3")
"""All that is ever assigned of IPv6."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_OTHERS_IN_LAST_BITS: Final = tuple(map(IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48")))
"""IPv4-compatible, IPv4-translated, and a network's own NAT64: carry an IPv4 address, and are never public."""
_6TO4: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_WORD: Final = 0xFFFFFFFF

LISTABLE: Final = frozenset({Rule.PRIVATE, Rule.SHARED})
"""Kinds of addresses that the platform's owner may allow."""


def kind_of(address: Address) -> Rule | None:
    """Tell which rule is against an address as such; None = it is public."""
    if any(address in network for network in METADATA):
        return Rule.METADATA
    table: Sequence[tuple[Network, Rule]] = _V4 if isinstance(address, IPv4Address) else _V6
    of_itself = next((rule for network, rule in table if address in network), None)
    if isinstance(address, IPv4Address) or of_itself in {Rule.UNSPECIFIED, Rule.LOOPBACK}:
        return of_itself
    carried = [kind for inner in carried_by(address) if (kind := kind_of(inner))]
    if carried:
        return Rule.METADATA if Rule.METADATA in carried else carried[0]
    if address in _MAPPED or address in _NAT64:
        return None
    return of_itself or (None if address in _GLOBAL else Rule.RESERVED)


def carried_by(address: Address) -> Iterator[IPv4Address]:
    """List the IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    if any(address in network for network in (_MAPPED, _NAT64, *_OTHERS_IN_LAST_BITS)):
        yield IPv4Address(number & _WORD)
    elif address in _6TO4:
        yield IPv4Address(number >> 80 & _WORD)
    elif address in _TEREDO:
        yield IPv4Address(~number & _WORD)
        yield IPv4Address(number >> 64 & _WORD)


def plain(address: Address) -> Address:
    """Write an IPv4-mapped address as the IPv4 address that is connected to."""
    return IPv4Address(int(address) & _WORD) if address in _MAPPED else address


def owners_network(text: str) -> Network:
    """Read a network that the platform's owner allows; raises `ValueError` where it holds what nobody may reach."""
    network = ip_network(text)
    table: Sequence[tuple[Network, Rule]] = (*_V4, *_V6)
    if not any(_holds(listed, network) for listed, rule in table if rule in LISTABLE):
        raise ValueError(f"{text} is not within a private network; public ones need no list, others can't be allowed")
    for metadata in METADATA:
        if _holds(network, metadata):
            raise ValueError(f"{text} holds {metadata[0]}, where a cloud gives out credentials; list smaller networks")
    return network


def denied_network(text: str) -> Network:
    """Read a network that the platform's owner denies; raises `ValueError` where not all of it is public."""
    network = ip_network(text)
    table: Sequence[tuple[Network, Rule]] = (*_V4, *_V6)
    is_assigned = isinstance(network, IPv4Network) or _holds(_GLOBAL, network)
    if not is_assigned or any(_holds(listed, network) or _holds(network, listed) for listed, _ in table):
        raise ValueError(f"{text} is not public as a whole; what is not public is denied unless it is listed")
    return network


def public_blocks() -> list[tuple[Network, list[Network]]]:
    """List networks with exceptions that together are exactly the public addresses, for a NetworkPolicy."""
    never = [network for network, _ in _V4 if network.prefixlen < network.max_prefixlen]
    metadata = [each for each in METADATA if isinstance(each, IPv4Network)]
    denied = sorted([*never, *(each for each in metadata if not any(_holds(one, each) for one in never))])
    return [
        (IPv4Network("0.0.0.0/0"), list(denied)),
        (_GLOBAL, [network for network, _ in _V6 if _holds(_GLOBAL, network)]),
        (_NAT64, [_behind_nat64(network) for network in denied]),
    ]


def _behind_nat64(network: IPv4Network) -> IPv6Network:
    return IPv6Network((int(_NAT64.network_address) | int(network.network_address), network.prefixlen + 96))


def _holds(outer: Network, inner: Network) -> bool:
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)


def read_address(text: str) -> Address | None:
    """Read an address in the one spelling that all programs understand alike; None = it is none."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None
