"""Which addresses are public, whatever form they come in."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventroute.outbound import Rule, public_blocks
from eventroute.outbound.address import METADATA, kind_of

KINDS = {
    # what Python's ipaddress calls global, or does in some patch versions
    "64:ff9b::a9fe:a9fe": Rule.METADATA,
    "64:ff9b:1::1": Rule.RESERVED,
    "2002:a9fe:a9fe::": Rule.METADATA,
    "::169.254.169.254": Rule.METADATA,
    "fec0::1": Rule.PRIVATE,
    "192.0.0.192": Rule.METADATA,
    "168.63.129.16": Rule.METADATA,
    "224.0.0.1": Rule.MULTICAST,
    "ff0e::1": Rule.MULTICAST,
    "::ffff:169.254.169.254": Rule.METADATA,
    "100.64.0.1": Rule.SHARED,
    "192.0.0.1": Rule.RESERVED,
    "2002:808:808::1": Rule.RESERVED,
    # each network
    "0.0.0.0": Rule.UNSPECIFIED,
    "0.1.2.3": Rule.RESERVED,
    "10.0.0.0": Rule.PRIVATE,
    "10.255.255.255": Rule.PRIVATE,
    "100.127.255.255": Rule.SHARED,
    "127.0.0.1": Rule.LOOPBACK,
    "127.255.255.254": Rule.LOOPBACK,
    "169.254.0.1": Rule.LINK_LOCAL,
    "172.16.0.1": Rule.PRIVATE,
    "172.31.255.255": Rule.PRIVATE,
    "192.0.2.1": Rule.RESERVED,
    "192.88.99.1": Rule.RESERVED,
    "192.168.1.1": Rule.PRIVATE,
    "198.18.0.1": Rule.PRIVATE,
    "198.19.255.255": Rule.PRIVATE,
    "198.51.100.7": Rule.RESERVED,
    "203.0.113.7": Rule.RESERVED,
    "239.255.255.255": Rule.MULTICAST,
    "240.0.0.1": Rule.PRIVATE,
    "255.255.255.255": Rule.BROADCAST,
    "::": Rule.UNSPECIFIED,
    "::1": Rule.LOOPBACK,
    "fc00::1": Rule.PRIVATE,
    "fdff::1": Rule.PRIVATE,
    "fe80::1": Rule.LINK_LOCAL,
    "feff::1": Rule.PRIVATE,
    "ff02::1": Rule.MULTICAST,
    "100::1": Rule.RESERVED,  # discarded
    "2001:db8::1": Rule.RESERVED,
    "2001:2::1": Rule.RESERVED,  # for measurements
    "3fff::1": Rule.RESERVED,
    "5f00::1": Rule.RESERVED,  # segment routing
    "4000::1": Rule.RESERVED,  # never assigned
    # IPv4 addresses in others
    "::ffff:10.0.0.1": Rule.PRIVATE,
    "::ffff:127.0.0.1": Rule.LOOPBACK,
    "::ffff:0:10.0.0.1": Rule.PRIVATE,  # translated
    "::127.0.0.1": Rule.LOOPBACK,
    "::8.8.8.8": Rule.RESERVED,
    "::ffff:0:8.8.8.8": Rule.RESERVED,
    "64:ff9b::10.0.0.1": Rule.PRIVATE,
    "64:ff9b::127.0.0.1": Rule.LOOPBACK,
    "64:ff9b:1::a9fe:a9fe": Rule.METADATA,
    "2002:7f00:1::1": Rule.LOOPBACK,
    "2002:c0a8:101::1": Rule.PRIVATE,
    "2001:0:808:808::f5ff:fffe": Rule.PRIVATE,  # Teredo: a client at 10.0.0.1
    "2001:0:a9fe:a9fe::f7f7:f7f7": Rule.METADATA,  # Teredo: a server
    "2001:0:808:808::f7f7:f7f7": Rule.RESERVED,
    # clouds' own
    "169.254.169.254": Rule.METADATA,
    "169.254.170.2": Rule.METADATA,
    "169.254.170.23": Rule.METADATA,
    "169.254.0.23": Rule.METADATA,
    "169.254.42.42": Rule.METADATA,
    "100.100.100.200": Rule.METADATA,
    "fd00:ec2::254": Rule.METADATA,
    "fd00:ec2::23": Rule.METADATA,
    "fd20:ce::254": Rule.METADATA,
    "fd00:c1::a9fe:a9fe": Rule.METADATA,
    "fd00:42::42": Rule.METADATA,
    "fd00:a9fe:a9fe::1": Rule.METADATA,
    "fe80::a9fe:a9fe": Rule.METADATA,
}
PUBLIC = (
    *("1.0.0.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255"),
    *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17"),
    *("2001:4860:4860::8888", "2606:4700::1111", "2a00::1", "2001:200::1", "2003::1"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
)


@pytest.mark.parametrize(("text", "rule"), KINDS.items())
def test_what_is_not_public_is_told_by_its_rule(text: str, rule: Rule) -> None:
    assert kind_of(ip_address(text)) is rule


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_beside_those_networks_is_public(text: str) -> None:
    assert kind_of(ip_address(text)) is None


ANY = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.ip_addresses(v=6, network="64:ff9b::/96"),
    st.ip_addresses(v=6, network="2000::/3"),
    st.sampled_from([ip_address(text) for text in (*KINDS, *PUBLIC)]),
    st.sampled_from([each[0] for each in METADATA]),
)


@given(ANY)
def test_what_is_public_is_global_to_python_too(address: IPv4Address | IPv6Address) -> None:
    if kind_of(address) is None and getattr(address, "ipv4_mapped", None) is None:
        assert address.is_global


@given(ANY)
def test_the_blocks_of_policies_are_exactly_what_is_public(address: IPv4Address | IPv6Address) -> None:
    """A mapped address never is on the wire; it is an IPv4 address by then."""
    if getattr(address, "ipv4_mapped", None) is not None:
        return
    allowed = any(
        address in block and not any(address in exception for exception in exceptions)
        for block, exceptions in public_blocks()
    )
    assert allowed == (kind_of(address) is None)


def test_exceptions_of_a_block_are_smaller_than_it_as_kubernetes_wants() -> None:
    for block, exceptions in public_blocks():
        for exception in exceptions:
            assert ip_network(exception) != block
            assert exception[0] in block
            assert exception.prefixlen > block.prefixlen
