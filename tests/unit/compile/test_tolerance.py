"""However long a route lets a request be on its way, a repetition of it is known for as long."""

import pytest

from eventroute.ids import RoutePath
from eventroute.schemes import SCHEMES, Scheme
from support.routes import compiled

STAMPED = [row.name for row in SCHEMES.values() if row.timestamp and row.kind == "hmac" and row.key == "utf8"]


def scheme_of(provider: str, tolerance: str) -> Scheme:
    return (
        compiled(provider=provider, tolerance=tolerance, publicURL="https://a.example/b")
        .receiver[RoutePath("team-a/triage")]
        .scheme
    )


@pytest.mark.parametrize("provider", STAMPED)
def test_a_tolerance_of_a_day_is_remembered_for_longer_than_a_day(provider: str) -> None:
    scheme = scheme_of(provider, "24h")
    assert scheme.tolerance_s == 86_400
    assert scheme.dedup_ttl_s >= 86_400 + scheme.retry_window_s


def test_a_shorter_tolerance_shortens_no_memory() -> None:
    assert scheme_of("slack", "1s").dedup_ttl_s == SCHEMES["slack"].dedup_ttl_s
