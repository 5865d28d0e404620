"""NetworkPolicies of the chart: everything is denied, and what is needed is allowed from both sides."""

from typing import Any

import pytest

from support.chart import INSTALLATIONS, Object, of_kind, pods, render

Policy = dict[str, Any]

TRIAL = render(INSTALLATIONS["a trial"])
NEEDED = [
    ("receiver", "valkey", 6379),
    ("worker", "valkey", 6379),
    ("operator", "valkey", 6379),
    ("worker", "simulator", 8090),
    ("receiver", "jaeger", 4318),
    ("worker", "jaeger", 4318),
    ("test", "receiver", 8080),
]


def component(labels: dict[str, str]) -> str | None:
    return labels.get("app.kubernetes.io/component")


def policy_of(objects: list[Object], name: str) -> Policy:
    (found,) = (
        item["spec"]
        for item in of_kind(objects, "NetworkPolicy")
        if component(item["spec"]["podSelector"].get("matchLabels", {})) == name
    )
    spec: Policy = found
    return spec


def peers(rules: list[Policy], side: str, port: int) -> set[str | None]:
    """List the components that a side's rules name for a port; None = anybody."""
    found: set[str | None] = set()
    for rule in rules:
        if port not in {item["port"] for item in rule["ports"]}:
            continue
        if side not in rule:
            found.add(None)
        for peer in rule.get(side, []):
            found.add(component(peer.get("podSelector", {}).get("matchLabels", {})))
    return found


def test_every_pod_is_cut_off_unless_a_policy_says_otherwise(objects: list[Object]) -> None:
    if not (policies := of_kind(objects, "NetworkPolicy")):
        return  # switched off; that they are on unless switched off is a test of its own
    (default,) = (item["spec"] for item in policies if item["metadata"]["name"].endswith("-default"))
    assert default["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in default
    assert "egress" not in default
    for pod in pods(objects):
        assert default["podSelector"]["matchLabels"].items() <= pod.metadata["labels"].items()
        assert policy_of(objects, pod.component)["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(("source", "target", "port"), NEEDED)
def test_what_must_talk_may_talk_as_both_sides_see_it(source: str, target: str, port: int) -> None:
    assert target in peers(policy_of(TRIAL, source)["egress"], "to", port)
    allowed = peers(policy_of(TRIAL, target)["ingress"], "from", port)
    assert source in allowed or None in allowed


def test_nothing_else_within_the_installation_may_talk() -> None:
    named = {
        (pod.component, peer, port["port"])
        for pod in pods(TRIAL)
        for rule in policy_of(TRIAL, pod.component).get("egress", [])
        for port in rule["ports"]
        for peer in peers([rule], "to", port["port"])
        if peer is not None
    }
    assert named == set(NEEDED)
    let_in = {
        (peer, pod.component, port["port"])
        for pod in pods(TRIAL)
        for rule in policy_of(TRIAL, pod.component).get("ingress", [])
        for port in rule["ports"]
        for peer in peers([rule], "from", port["port"])
        if peer is not None
    }
    assert let_in == {connection for connection in NEEDED if connection[1] != "receiver"}, "hooks are for everybody"


@pytest.mark.parametrize("name", ["valkey", "simulator", "jaeger"])
def test_what_only_answers_cannot_begin_a_connection(name: str) -> None:
    assert "egress" not in policy_of(TRIAL, name)


def test_only_the_worker_reaches_the_internet_and_no_private_network() -> None:
    for pod in pods(TRIAL):
        blocks = [
            peer["ipBlock"]
            for rule in policy_of(TRIAL, pod.component).get("egress", [])
            for peer in rule.get("to", [])
            if "ipBlock" in peer
        ]
        assert bool(blocks) == (pod.component == "worker")
        assert {block["cidr"] for block in blocks} <= {"0.0.0.0/0", "2000::/3", "64:ff9b::/96"}
        assert all("169.254.0.0/16" in block["except"] for block in blocks if block["cidr"] == "0.0.0.0/0")


def test_receivers_get_to_the_internet_where_they_fetch_keys() -> None:
    rules = policy_of(render({"networkPolicies": {"receiverFetches": True}}), "receiver")["egress"]
    (rule,) = (rule for rule in rules if any("ipBlock" in peer for peer in rule.get("to", [])))
    assert rule in policy_of(TRIAL, "worker")["egress"], "as workers do"
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]


def test_every_service_port_is_let_in_somewhere(objects: list[Object]) -> None:
    if not of_kind(objects, "NetworkPolicy"):
        return
    for service in of_kind(objects, "Service"):
        (pod,) = (pod for pod in pods(objects) if service["spec"]["selector"].items() <= pod.metadata["labels"].items())
        numbers = {port["name"]: port["containerPort"] for item in pod.containers for port in item["ports"]}
        opened = {item["port"] for rule in policy_of(objects, pod.component)["ingress"] for item in rule["ports"]}
        for port in service["spec"]["ports"]:
            if port["name"] != "ui":  # looked at through port-forward, which passes every policy
                assert numbers[port["targetPort"]] in opened


def test_hooks_are_open_to_all_unless_senders_are_named() -> None:
    assert peers(policy_of(render({}), "receiver")["ingress"], "from", 8080) == {None}
    named = render({"networkPolicies": {"hooksFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}})
    (rule,) = (rule for rule in policy_of(named, "receiver")["ingress"] if rule["ports"][0]["port"] == 8080)
    assert {"ipBlock": {"cidr": "192.0.2.0/24"}} in rule["from"]
    assert len(rule["from"]) == 2, "and to the test of the installation"


@pytest.mark.parametrize(
    ("endpoint", "port"), [("http://c:4318", 4318), ("https://c.example.com", 443), ("http://c.example.com", 80)]
)
def test_the_collectors_port_follows_from_its_address(endpoint: str, port: int) -> None:
    objects = render({"tracing": {"endpoint": endpoint}})
    assert None in peers(policy_of(objects, "receiver")["egress"], "to", port)


def test_a_worker_reaches_the_address_that_it_is_told_to_ask() -> None:
    objects = render({"worker": {"anthropic": {"baseURL": "http://gateway.models.svc:4000/v1"}}})
    assert None in peers(policy_of(objects, "worker")["egress"], "to", 4000)
    assert not peers(policy_of(objects, "receiver")["egress"], "to", 4000)


def test_policies_are_there_unless_switched_off() -> None:
    assert of_kind(render({}), "NetworkPolicy")
    assert not of_kind(render({"networkPolicies": {"enabled": False}}), "NetworkPolicy")
