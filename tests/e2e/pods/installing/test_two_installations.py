"""Two installations, each with its own namespaces: neither sees the other's routes, deliveries or data."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import redis

from e2e.conftest import NewInstallation
from e2e.support.connections import reached
from e2e.support.installation import Installation, new_namespace
from e2e.support.shell import Failed
from e2e.support.traffic import PROVIDER

VALUES = {"jaeger": {"enabled": False}, "receiver": {"replicas": 1}, "worker": {"replicas": 1}}


class Pair(NamedTuple):
    """Two installations, each with a route `triage`."""

    one: Installation
    other: Installation


@pytest.fixture(scope="module")
def pair(new_installation: NewInstallation) -> Iterator[Pair]:
    """Two installations side by side; the definition belongs to the first."""
    other_values = {**VALUES, "crds": {"enabled": False}}
    with new_installation(VALUES, word="one") as one, new_installation(other_values, word="other") as other:
        for installation in (one, other):
            installation.add_route("triage", PROVIDER)
        yield Pair(one, other)


@pytest.fixture(params=[0, 1], ids=["one", "other"])
def ordered(pair: Pair, request: pytest.FixtureRequest) -> Pair:
    """Both ways round."""
    return pair if request.param == 0 else Pair(pair.other, pair.one)


def test_each_answers_its_own_deliveries_only(ordered: Pair) -> None:
    mine, theirs = ordered
    before = len(theirs.answers())
    delivery = mine.send("triage", PROVIDER).json()["delivery"]
    assert mine.answer(delivery)["outcome"] == "succeeded"
    assert len(theirs.answers()) == before
    assert theirs.outcome(delivery) is None


def test_a_receiver_does_not_know_the_others_routes(ordered: Pair) -> None:
    mine, theirs = ordered
    request = theirs.signed("triage", PROVIDER)
    url = f"http://{mine.reach('receiver', 80)}/hooks/{theirs.namespace}/triage"
    assert mine.post_to(url, request).status_code == 404
    assert theirs.post("triage", request).status_code == 200


def test_keys_and_passwords_differ_and_do_not_open_the_others_data(ordered: Pair) -> None:
    mine, theirs = ordered
    for name in ("eventroute-table-keys", "eventroute-valkey"):
        (my_data, their_data) = (each.get("secret", name)["data"] for each in ordered)
        assert not {*my_data.values()} & {*their_data.values()}
    host, _, port = theirs.reach("valkey", 6379).partition(":")
    password = mine.redis("worker").get_connection_kwargs()["password"]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host=host, port=int(port), username="worker", password=password).ping()


def test_a_worker_does_not_reach_the_others_valkey(ordered: Pair) -> None:
    mine = ordered.one
    targets = {
        each.namespace: (each.get("service", "eventroute-valkey")["spec"]["clusterIP"], 6379) for each in ordered
    }
    assert reached(mine.cluster, mine.namespace, mine.pods("worker")[0], targets) == {mine.namespace}


def test_roles_are_enough_and_end_at_the_namespace(ordered: Pair) -> None:
    mine, theirs = ordered

    def may(verb: str, what: str, where: str) -> bool:
        account = f"--as=system:serviceaccount:{mine.namespace}:eventroute-operator"
        try:
            mine.cluster.kubectl("auth", "can-i", verb, what, "--namespace", where, account)
        except Failed:
            return False
        return True

    assert may("list", "secrets", mine.namespace)
    assert not may("list", "secrets", theirs.namespace)
    assert not may("list", "eventroutes.eventroute.dev", theirs.namespace)
    bindings = mine.cluster.get("clusterrolebindings,clusterroles", "--selector", "app.kubernetes.io/name=eventroute")
    assert mine.namespace not in str(bindings)


def test_a_route_in_nobodys_namespace_is_left_alone(pair: Pair) -> None:
    elsewhere = Installation(pair.one.cluster, new_namespace("nobodys"))
    elsewhere.create_namespace()
    try:
        elsewhere.apply(*elsewhere.manifests("triage", PROVIDER))
        for installation in pair:  # whoever reads other namespaces has read this one by then
            installation.add_route("later", PROVIDER)
            url = f"http://{installation.reach('receiver', 80)}/hooks/{elsewhere.namespace}/triage"
            assert installation.post_to(url, elsewhere.signed("triage", PROVIDER)).status_code == 404
        assert "status" not in elsewhere.route("triage")
    finally:
        elsewhere.kubectl("delete", "namespace", elsewhere.namespace, "--wait=false")
        elsewhere.close()
