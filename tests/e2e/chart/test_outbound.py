"""The worker's rules and its NetworkPolicy come of the same values, and allow the same."""

import json
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from eventroute.outbound import Blocked, OutboundRules, check_address, public_blocks, read_endpoint
from eventroute.outbound.address import METADATA, kind_of
from eventroute.policy import Policy
from support.chart import CHART, INSTALLATIONS, Object, environment, named, of_kind, render

Address = IPv4Address | IPv6Address

CASES: Final[Mapping[str, Mapping[str, Any]]] = {
    "as it comes": {},
    "everything": {"outbound": INSTALLATIONS["everything"]["outbound"]},
    "other ports": {"outbound": {"ports": [8443], "privateCIDRs": ["100.64.0.0/12", "192.168.7.0/24"]}},
    "no ports": {"outbound": {"ports": [], "privateCIDRs": ["10.0.0.0/8"]}},
}
RENDERED: Final = {name: render({**values, "fullnameOverride": "er"}) for name, values in CASES.items()}
CLAUDE: Final = 443
"""Open to all public addresses in any case."""

ADDRESSES: Final = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=4).map(lambda address: IPv4Address(int(address) & 0x00FFFFFF | 0x0A000000)),
    st.ip_addresses(v=6),
    st.ip_addresses(v=6, network="2000::/3"),
    st.ip_addresses(v=6, network="64:ff9b::/96"),
    st.sampled_from([each[0] for each in METADATA]),
    st.sampled_from([edge for _, exceptions in public_blocks() for each in exceptions for edge in (each[0], each[-1])]),
    st.sampled_from(
        [
            *map(ip_address, ("8.8.8.8", "8.8.9.1", "10.2.0.1", "10.3.0.1", "100.64.0.1", "100.80.0.1", "192.168.7.1")),
            *map(
                ip_address, ("127.0.0.1", "::1", "fd12:3456::1", "fd12:3457::1", "2606:4700::1", "2a00::1", "fe80::1")
            ),
        ]
    ),
)
PORTS: Final = st.sampled_from([22, 80, 443, 3128, 5432, 8443])


def rules_of(objects: list[Object]) -> OutboundRules:
    deployment = named(objects, "Deployment", "er-worker")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return OutboundRules.model_validate_json(environment(container)["EVENTROUTE_WORKER_OUTBOUND"]["value"])


def by_the_rules(rules: OutboundRules, address: Address, port: int) -> bool:
    try:
        check_address(str(address), read_endpoint("example.com", port, rules), rules)
    except Blocked:
        return False
    return True


def by_the_policy(objects: list[Object], address: Address, port: int) -> bool:
    """Leave out what is opened to pods, and to the proxy, wherever that is."""
    egress = named(objects, "NetworkPolicy", "er-worker")["spec"]["egress"]
    return any(
        address in ip_network(block["cidr"])
        and not any(address in ip_network(exception) for exception in block.get("except", []))
        for rule in egress
        if port in {item["port"] for item in rule["ports"]}
        for block in (peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer)
    )


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=1500)
@given(address=ADDRESSES, port=PORTS)
def test_the_workers_rules_and_its_policy_allow_the_same(case: str, address: Address, port: int) -> None:
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return  # is an IPv4 address on the wire
    rules = rules_of(RENDERED[case])
    allowed, opened = by_the_rules(rules, address, port), by_the_policy(RENDERED[case], address, port)
    if allowed:
        assert opened
    elif opened:
        assert is_denied_behind_nat64(rules, address) or (port == CLAUDE and kind_of(address) is None)


def is_denied_behind_nat64(rules: OutboundRules, address: Address) -> bool:
    """The chart cannot write an IPv4 network as one behind NAT64; there, the worker's rules stand alone."""
    if not isinstance(address, IPv6Address) or address not in ip_network("64:ff9b::/96"):
        return False
    return any(IPv4Address(int(address) & 0xFFFFFFFF) in network for network in rules.denied_cidrs)


def test_the_samples_hold_both_what_is_allowed_and_what_is_not() -> None:
    rules = rules_of(RENDERED["everything"])
    for text, port, is_allowed in [
        ("1.1.1.1", 443, True),
        ("1.1.1.1", 22, False),
        ("8.8.8.8", 443, False),
        ("10.2.0.1", 5432, True),
        ("10.3.0.1", 5432, False),
        ("fd12:3456::1", 443, True),
        ("2606:4700::1", 443, False),
        ("169.254.169.254", 443, False),
    ]:
        address = ip_address(text)
        assert by_the_rules(rules, address, port) is is_allowed, text
        assert by_the_policy(RENDERED["everything"], address, port) is is_allowed, text


def test_private_hosts_open_their_namespaces_on_the_same_ports() -> None:
    egress = named(RENDERED["everything"], "NetworkPolicy", "er-worker")["spec"]["egress"]
    peers = [
        (peer, sorted(item["port"] for item in rule["ports"]))
        for rule in egress
        for peer in rule.get("to", [])
        if "podSelector" not in peer or not peer["podSelector"]
    ]
    for selector in ("db", "team-a"):
        assert ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": selector}}}, [443, 5432]) in peers
    assert ({"podSelector": {}}, [443, 5432]) in peers, "a name without a dot is a Service beside the worker"
    everywhere = render({"fullnameOverride": "er", "outbound": {"privateHosts": ["*.svc"]}})
    opened = named(everywhere, "NetworkPolicy", "er-worker")["spec"]["egress"]
    assert {"namespaceSelector": {}} in [peer for rule in opened for peer in rule.get("to", [])]


def test_a_proxy_is_let_out_to() -> None:
    egress = named(RENDERED["everything"], "NetworkPolicy", "er-worker")["spec"]["egress"]
    assert {"ports": [{"protocol": "TCP", "port": 3128}]} in egress


def test_workers_hold_to_the_hosts_of_all_namespaces_unless_some_may_name_any() -> None:
    policy = {
        "allowedHosts": ["a.com"],
        "namespaces": {"x": {"allowedHosts": ["b.com", "a.com"]}, "y": {"maxTokens": 5}},
    }
    both = render({"fullnameOverride": "er", "operator": {"policy": policy}})
    assert rules_of(both).allowed_hosts == ("a.com", "b.com")
    deployment = named(both, "Deployment", "er-operator")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    operators = Policy.model_validate(json.loads(environment(container)["EVENTROUTE_OPERATOR_POLICY"]["value"]))
    assert operators.of("x").allowed_hosts == ("b.com", "a.com")
    assert operators.of("y").allowed_hosts == ("a.com",)
    one = render({"fullnameOverride": "er", "operator": {"policy": {"namespaces": {"x": {"allowedHosts": ["b.com"]}}}}})
    assert rules_of(one).allowed_hosts == ()


def test_the_readmes_values_are_taken_by_the_chart_and_by_the_programs() -> None:
    page = (CHART / "README.md").read_text(encoding="utf-8").partition("## What sinks and tools may reach")[2]
    values = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    rules = rules_of(render({**values, "fullnameOverride": "er"}))
    assert rules.private_hosts == ("postgres.db.svc",)
    assert rules.allowed_hosts == ("hooks.slack.com", "*.example.com", "api.example.com")


def test_ones_own_peers_take_the_place_of_public_addresses() -> None:
    own = [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
    rendered = render({"fullnameOverride": "er", "networkPolicies": {"internetTo": own}})
    egress = named(rendered, "NetworkPolicy", "er-worker")["spec"]["egress"]
    assert [rule["to"] for rule in egress if any("ipBlock" in peer for peer in rule.get("to", []))] == [own]


def test_who_connects_and_who_judges_urls_are_told_the_same_rules() -> None:
    told = {
        item["metadata"]["name"]: entry["value"]
        for item in of_kind(RENDERED["everything"], "Deployment")
        for name, entry in environment(item["spec"]["template"]["spec"]["containers"][0]).items()
        if "OUTBOUND" in name
    }
    assert sorted(told) == ["er-operator", "er-worker"]
    assert told["er-operator"] == told["er-worker"]
