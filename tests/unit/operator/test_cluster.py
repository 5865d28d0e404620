"""What is known of the API server: in any order, from watches and lists, and no more than routes refer to."""

from typing import Any

import pytest

from eventroute.crd.objects import ObjectKey
from eventroute.crd.v1alpha1 import EventRoute
from eventroute.ids import route_path
from eventroute_operator.cluster import Cluster, Kind, Reference
from support.cluster_objects import TRIAGE, cluster_with, config_map_body, metadata, route_body, secret_body

HOOK = Reference(Kind.SECRET, ObjectKey("team-a", "hook"))


def test_a_new_route_is_dirty_once() -> None:
    cluster = Cluster()
    cluster.see(Kind.ROUTE, route_body())
    assert cluster.changed.is_set()
    assert cluster.take_dirty() == {TRIAGE}
    assert cluster.take_dirty() == set()
    assert not cluster.changed.is_set()


def test_a_status_write_makes_nothing_dirty_and_is_kept() -> None:
    cluster = cluster_with(route_body())
    cluster.see(Kind.ROUTE, {**route_body(), "status": {"path": "/hooks"}})
    assert cluster.take_dirty() == set()
    assert cluster.routes[TRIAGE].status == {"path": "/hooks"}


def test_a_changed_spec_is_dirty() -> None:
    cluster = cluster_with(route_body())
    cluster.see(Kind.ROUTE, route_body(generation=2))
    assert cluster.take_dirty() == {TRIAGE}


@pytest.mark.parametrize(
    "spec",
    [
        {"secretRefs": [{"name": "found", "key": "a"}]},
        {"model": {"apiKeyRef": {"name": "found", "key": "a"}}},
        {"prompts": [{"systemFrom": {"name": "found", "key": "a"}}]},
        {"prompts": [{}, {"userFrom": {"name": "found", "key": "a"}}]},
    ],
)
def test_every_kind_of_reference_makes_its_route_dirty(spec: dict[str, Any]) -> None:
    cluster = cluster_with(route_body(**spec))
    kind = Kind.CONFIG_MAP if "prompts" in spec else Kind.SECRET
    body = config_map_body("found", a="b") if kind is Kind.CONFIG_MAP else secret_body("found", a="b")
    cluster.see(kind, body)
    assert cluster.take_dirty() == {TRIAGE}
    assert cluster.find(Reference(kind, ObjectKey("team-a", "found"))) is not None


def test_what_nobody_refers_to_is_not_kept() -> None:
    cluster = cluster_with(route_body(), secrets=(secret_body("other"),))
    assert cluster.find(Reference(Kind.SECRET, ObjectKey("team-a", "other"))) is None
    cluster.see(Kind.SECRET, secret_body("hook"))
    cluster.see(Kind.ROUTE, route_body(generation=2, secretRefs=[{"name": "other", "key": "secret"}]))
    assert cluster.find(HOOK) is None


def test_what_nobody_has_looked_at_is_told_from_what_does_not_exist() -> None:
    cluster = cluster_with(route_body())
    assert cluster.unknown([TRIAGE]) == {HOOK}
    listing = cluster.begin_list(Kind.SECRET)
    cluster.end_list(listing)
    assert cluster.unknown([TRIAGE]) == set()
    assert cluster.find(HOOK) is None


def test_the_same_secret_again_changes_nothing() -> None:
    body = secret_body("hook")
    cluster = cluster_with(route_body(), secrets=(body,))
    cluster.see(Kind.SECRET, body)
    assert cluster.take_dirty() == set()


def test_a_deleted_secret_is_known_to_be_gone() -> None:
    body = secret_body("hook")
    cluster = cluster_with(route_body(), secrets=(body,))
    cluster.forget(Kind.SECRET, secret_body("hook"))
    assert cluster.take_dirty() == {TRIAGE}
    assert cluster.find(HOOK) is None
    assert cluster.unknown([TRIAGE]) == set()


def test_a_route_that_somebody_holds_in_deletion_is_gone() -> None:
    cluster = cluster_with(route_body())
    body = route_body()
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.see(Kind.ROUTE, body)
    assert cluster.routes == {}
    assert cluster.take_dirty() == {TRIAGE}


def test_a_route_made_anew_outlives_the_late_news_of_the_first_ones_end() -> None:
    cluster = cluster_with(route_body(uid="first", version=10))
    cluster.see(Kind.ROUTE, route_body(uid="second", version=12))
    cluster.see(Kind.ROUTE, route_body(uid="first", version=10, generation=5))
    cluster.forget(Kind.ROUTE, route_body(uid="first", version=11))
    assert cluster.routes[TRIAGE].uid == "second"


def test_a_spec_that_is_not_understood_is_kept_with_its_mistakes() -> None:
    cluster = cluster_with(route_body(novel=True))
    spec = cluster.routes[TRIAGE].spec
    assert not isinstance(spec, EventRoute)
    assert spec[0].field == "spec.novel"
    assert cluster.routes[TRIAGE].references == frozenset()


def test_another_spec_of_the_same_generation_is_dirty() -> None:
    cluster = cluster_with(route_body())
    cluster.see(Kind.ROUTE, route_body(novel="as a newer resource tells it"))
    assert cluster.take_dirty() == {TRIAGE}


@pytest.mark.parametrize("spec", [None, [], "text", {}])
def test_no_spec_is_too_strange(spec: object) -> None:
    cluster = cluster_with({"metadata": metadata("triage", generation=1), "spec": spec})
    assert not isinstance(cluster.routes[TRIAGE].spec, EventRoute)


def test_a_list_brings_what_is_and_takes_what_is_not() -> None:
    cluster = cluster_with(route_body("stays"), route_body("goes"))
    listing = cluster.begin_list(Kind.ROUTE)
    for name in ("stays", "comes"):
        cluster.add_listed(listing, route_body(name))
    cluster.end_list(listing)
    assert {key.name for key in cluster.routes} == {"stays", "comes"}
    assert cluster.take_dirty() == {ObjectKey("team-a", "comes"), ObjectKey("team-a", "goes")}


def test_a_list_does_not_undo_what_a_watch_told_meanwhile() -> None:
    old, deleted = route_body("edited", version=1), route_body("deleted", version=2)
    cluster = cluster_with(old, deleted)
    listing = cluster.begin_list(Kind.ROUTE)
    cluster.see(Kind.ROUTE, route_body("edited", version=20, generation=2))
    cluster.see(Kind.ROUTE, route_body("created", version=21))
    cluster.forget(Kind.ROUTE, route_body("deleted", version=22))
    for body in (old, deleted):
        cluster.add_listed(listing, body)
    cluster.end_list(listing)
    assert {key.name: route.generation for key, route in cluster.routes.items()} == {"edited": 2, "created": 1}


def test_a_list_does_not_undo_what_was_looked_for_meanwhile() -> None:
    cluster = cluster_with()
    listing = cluster.begin_list(Kind.SECRET)
    cluster.see(Kind.SECRET, secret_body("hook", version=20))  # nobody refers to it yet
    cluster.see(Kind.ROUTE, route_body(version=21))
    look = cluster.begin_list(Kind.SECRET, lambda key: key == HOOK.key)
    cluster.see(Kind.SECRET, secret_body("hook", version=20))
    cluster.end_look(look)
    cluster.end_list(listing)  # made before the Secret was
    assert cluster.find(HOOK) is not None


def test_a_look_at_one_object_does_not_let_a_list_undo_what_a_watch_told_of_another() -> None:
    old = secret_body("hook", version=1)
    cluster = cluster_with(route_body(), secrets=(old,))
    listing = cluster.begin_list(Kind.SECRET)
    cluster.see(Kind.SECRET, secret_body("hook", version=20))
    rotated = cluster.find(HOOK)
    cluster.end_look(cluster.begin_list(Kind.SECRET, lambda key: key.name == "other"))
    cluster.add_listed(listing, old)
    cluster.end_list(listing)
    assert cluster.find(HOOK) == rotated


def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    cluster = cluster_with(route_body())
    listing = cluster.begin_list(Kind.ROUTE, lambda key: key.namespace == "team-b")
    cluster.end_list(listing)
    assert TRIAGE in cluster.routes


def test_secrets_do_not_print() -> None:
    cluster = cluster_with(route_body(), secrets=(secret_body("hook", secret="do-not-print-this"),))
    held = cluster.find(HOOK)
    assert held is not None
    assert "do-not-print-this" not in f"{held!r} {held.object!r}"


def test_a_revision_changes_with_the_object_and_not_with_the_value() -> None:
    cluster = cluster_with(route_body(), secrets=(secret_body("hook", uid="a", version=5, secret="one"),))
    first = cluster.find(HOOK)
    again = cluster_with(route_body(), secrets=(secret_body("hook", uid="a", version=5, secret="two"),)).find(HOOK)
    cluster.see(Kind.SECRET, secret_body("hook", uid="a", version=6, secret="one"))
    after = cluster.find(HOOK)
    assert first is not None
    assert again is not None
    assert after is not None
    assert first.revision == again.revision != after.revision


def test_what_becomes_of_a_route_concerns_those_that_hand_answers_to_some() -> None:
    caller = route_body(sinks=[{"route": {"name": "escalate"}}])
    cluster = cluster_with(caller, route_body("bystander"))
    target, other = ObjectKey("team-a", "escalate"), ObjectKey("team-a", "bystander")
    cluster.see(Kind.ROUTE, route_body("escalate", provider="eventroute", secretRefs=[]))
    assert cluster.take_dirty() == {TRIAGE, target}
    assert set(cluster.neighbours(TRIAGE)) == {"team-a/triage", "team-a/bystander", "team-a/escalate"}
    assert cluster.neighbours(other) == {}
    cluster.forget(Kind.ROUTE, route_body("escalate"))
    assert cluster.take_dirty() == {TRIAGE, target}
    cluster.see(Kind.ROUTE, route_body(generation=2))
    cluster.take_dirty()
    cluster.see(Kind.ROUTE, route_body("escalate", provider="eventroute", secretRefs=[]))
    assert cluster.take_dirty() == {target}, "nobody names a route any more"


def test_a_route_that_cannot_be_understood_is_there_all_the_same() -> None:
    cluster = cluster_with(route_body(sinks=[{"route": {"name": "escalate"}}]), route_body("escalate", provider=7))
    assert cluster.neighbours(TRIAGE)[route_path("team-a", "escalate")] is None
