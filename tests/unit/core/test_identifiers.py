"""Identifiers repeat exactly when a delivery repeats."""

import pytest

from eventroute.ids import RouteUid, claim_id, delivery_id

ROUTE = RouteUid("1c1b")


def test_the_same_provider_id_gives_the_same_delivery_id() -> None:
    assert delivery_id(ROUTE, claim_id(ROUTE, "id", b"evt_1")) == delivery_id(ROUTE, claim_id(ROUTE, "id", b"evt_1"))


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
    assert claim.isascii()
    assert claim.isalnum()
    assert len(claim) == 32


def test_a_delivery_without_a_claim_is_never_taken_for_another() -> None:
    assert delivery_id(ROUTE, None) != delivery_id(ROUTE, None)
