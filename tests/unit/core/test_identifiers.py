"""Claims repeat exactly when an event repeats; a delivery's own id never does."""

import re
import time

import pytest

from eventroute.ids import RouteUid, claim_id, new_delivery_id

ROUTE = RouteUid("1c1b")


def test_the_same_provider_id_makes_the_same_claim() -> None:
    assert claim_id(ROUTE, "id", b"evt_1") == claim_id(RouteUid("1c1b"), "id", b"evt_1")


@pytest.mark.parametrize(
    ("route", "kind", "value"),
    [("other", "id", b"evt_1"), ("1c1b", "digest", b"evt_1"), ("1c1b", "id", b"evt_2")],
)
def test_route_kind_and_value_all_tell_claims_apart(route: str, kind: str, value: bytes) -> None:
    assert claim_id(RouteUid(route), kind, value) != claim_id(ROUTE, "id", b"evt_1")


def test_shifting_text_between_kind_and_value_makes_another_claim() -> None:
    assert claim_id(ROUTE, "id", b"a") != claim_id(ROUTE, "ida", b"")


@pytest.mark.parametrize("value", [b"a:b", b"*", b"a\nb", b"x" * 10_240, "é🙂".encode(), b"\xff\x00"])
def test_no_provider_id_can_shape_a_redis_key(value: bytes) -> None:
    claim = claim_id(ROUTE, "id", value)
    assert re.fullmatch(r"[A-Za-z0-9+/]{16}", claim)


def test_no_two_deliveries_have_one_id() -> None:
    ids = [new_delivery_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"d-[0-9a-f]{28}", each) for each in ids)


def test_ids_sort_by_the_millisecond_in_which_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for time_ms in (0xFFFF, 0x10000, 0x18A_0000_0000):
        monkeypatch.setattr(time, "time_ns", lambda now=time_ms: now * 1_000_000)
        ids.append(new_delivery_id())
    assert ids == sorted(ids)
