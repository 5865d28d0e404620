"""What the platform's owner adds to the rules, and takes away; and which lists are refused."""

import json

import pytest
from pydantic import ValidationError

from eventroute.errors import Refused
from eventroute.outbound import Blocked, OutboundRules, Rule, check_address, read_endpoint, read_url
from eventroute_worker.settings import WorkerSettings


def rules(**said: object) -> OutboundRules:
    return OutboundRules.model_validate(said)


def rule_of(url: str, owner: OutboundRules) -> Rule | None:
    try:
        read_url(url, owner)
    except Blocked as blocked:
        return blocked.rule
    return None


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("api.example.com", True),
        ("API.example.com", True),
        ("example.com", False),
        ("a.hooks.example.net", True),
        ("a.b.hooks.example.net", True),
        ("hooks.example.net", False),
        ("evilhooks.example.net", False),
        ("api.example.com.evil.example", False),
        ("8.8.8.8", True),
        ("8.8.4.4", False),
        ("[2606:4700::1111]", True),
    ],
)
def test_only_allowed_hosts_are_reached(host: str, *, is_allowed: bool) -> None:
    owner = rules(allowedHosts=["api.example.com", "*.hooks.example.net", "8.8.8.8", "2606:4700::1111"])
    assert rule_of(f"https://{host}/", owner) is (None if is_allowed else Rule.HOST)


def test_a_host_that_is_not_allowed_is_told_with_those_that_are() -> None:
    with pytest.raises(Blocked, match=r"x\.com is not allowed; allowedHosts .* are: a\.com, \*\.b\.com"):
        read_url("https://x.com/", rules(allowedHosts=["a.com", "*.b.com"]))


def test_private_hosts_may_be_internal_names_at_private_addresses_without_tls() -> None:
    owner = rules(privateHosts=["sink.team.svc", "*.db.svc.cluster.local"], ports=[80, 443, 5432])
    target = read_url("http://sink.team.svc/", owner)
    assert check_address("10.96.0.7", target.endpoint, owner) == "10.96.0.7"
    assert check_address("100.64.0.7", target.endpoint, owner) == "100.64.0.7"
    assert read_endpoint("pg.db.svc.cluster.local", 5432, owner).is_private
    assert rule_of("https://other.team.svc/", owner) is Rule.INTERNAL_NAME
    public = read_url("https://example.com/", owner).endpoint
    with pytest.raises(Blocked, match="a private address"):
        check_address("10.96.0.7", public, owner)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.1.1", "127.0.0.1", "::1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "fe80::1"),
        *("100.100.100.200", "fd00:ec2::254", "64:ff9b::10.0.0.1", "2002:a00:1::1", "::10.0.0.1", "192.0.2.1"),
    ],
)
def test_no_list_leads_to_what_is_never_reached(address: str) -> None:
    owner = rules(privateHosts=["x.svc"], privateCIDRs=["10.0.0.0/8", "fd12::/16"])
    endpoint = read_url("https://x.svc/", owner).endpoint
    with pytest.raises(Blocked):
        check_address(address, endpoint, owner)


def test_metadata_and_localhost_are_refused_also_where_a_list_names_them() -> None:
    owner = rules(privateHosts=["metadata.google.internal", "localhost", "metadata"])
    assert rule_of("https://metadata.google.internal/", owner) is Rule.METADATA
    assert rule_of("https://metadata/", owner) is Rule.METADATA
    assert rule_of("https://localhost/", owner) is Rule.LOOPBACK


def test_private_networks_may_be_where_any_name_leads() -> None:
    owner = rules(privateCIDRs=["10.1.0.0/16", "fd12:3456::/32"])
    endpoint = read_url("https://example.com/", owner).endpoint
    for address in ("10.1.255.255", "fd12:3456::1"):
        assert check_address(address, endpoint, owner) == address
    assert check_address("::ffff:10.1.0.1", endpoint, owner) == "10.1.0.1"
    for address in ("10.2.0.1", "fd12:3457::1"):
        with pytest.raises(Blocked):
            check_address(address, endpoint, owner)
    assert rule_of("https://10.1.0.1/", owner) is None
    assert rule_of("https://x.svc/", owner) is Rule.INTERNAL_NAME


def test_what_the_owner_denies_is_denied_in_any_form() -> None:
    owner = rules(deniedCIDRs=["8.8.0.0/16", "2606:4700::/32"])
    endpoint = read_url("https://example.com/", owner).endpoint
    for address in ("8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2606:4700::1"):
        with pytest.raises(Blocked) as caught:
            check_address(address, endpoint, owner)
        assert caught.value.rule is Rule.DENIED
    assert check_address("8.9.0.1", endpoint, owner) == "8.9.0.1"


@pytest.mark.parametrize(
    ("field", "said", "told"),
    [
        ("privateCIDRs", ["0.0.0.0/0"], "is not within a private network"),
        ("privateCIDRs", ["8.8.8.0/24"], "is not within a private network"),
        ("privateCIDRs", ["127.0.0.0/8"], "is not within a private network"),
        ("privateCIDRs", ["169.254.0.0/16"], "is not within a private network"),
        ("privateCIDRs", ["64:ff9b:1::/48"], "is not within a private network"),
        ("privateCIDRs", ["100.64.0.0/10"], r"holds 100\.100\.100\.200"),
        ("privateCIDRs", ["fd00::/8"], "holds fd00:ec2::254"),
        ("privateCIDRs", ["10.0.0.1/8"], "has host bits set"),
        ("privateCIDRs", ["ten"], "does not appear to be"),
        ("deniedCIDRs", ["0.0.0.0/0"], "not public as a whole"),
        ("deniedCIDRs", ["10.1.0.0/16"], "not public as a whole"),
        ("deniedCIDRs", ["::/0"], "not public as a whole"),
        ("deniedCIDRs", ["2000::/3"], "not public as a whole"),
        ("deniedCIDRs", ["fd00::/64"], "not public as a whole"),
        ("ports", [0], "greater than or equal to 1"),
        ("ports", [65536], "less than or equal to 65535"),
        ("allowedHosts", ["Example.com"], "pattern"),
        ("allowedHosts", ["https://example.com"], "pattern"),
        ("allowedHosts", ["*"], "pattern"),
        ("allowedHosts", ["a.*.com"], "pattern"),
        ("proxy", "socks5://proxy:1080", "pattern"),
        ("proxy", "http://user:hush@proxy:3128", "no user and password"),
        ("mode", "lenient", "'cluster' or 'dev'"),
        ("hosts", [], "not permitted"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused_at_the_start(field: str, said: object, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        rules(**{field: said})
    needed = {"EVENTROUTE_WORKER_REDIS_URL": "redis://h/0", "EVENTROUTE_WORKER_TABLE_KEY": "c2VjcmV0"}
    with pytest.raises(Refused, match="EVENTROUTE_WORKER_OUTBOUND") as caught:
        WorkerSettings.load({**needed, "EVENTROUTE_WORKER_OUTBOUND": json.dumps({field: said})})
    assert "hush" not in str(caught.value)


def test_the_workers_setting_is_json_in_the_words_of_the_chart() -> None:
    said = {"allowedHosts": ["*.example.com"], "ports": [443, 5432], "privateHosts": [], "privateCIDRs": ["10.0.0.0/8"]}
    needed = {"EVENTROUTE_WORKER_REDIS_URL": "redis://h/0", "EVENTROUTE_WORKER_TABLE_KEY": "c2VjcmV0"}
    assert WorkerSettings.load(needed).outbound == OutboundRules()
    loaded = WorkerSettings.load({**needed, "EVENTROUTE_WORKER_OUTBOUND": json.dumps(said)}).outbound
    assert loaded == rules(**said)
    assert loaded.ports == (443, 5432)
