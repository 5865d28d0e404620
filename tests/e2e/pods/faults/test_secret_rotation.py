"""A webhook secret is replaced while events arrive: both count for a while, then the new one only; nothing restarts."""

import base64
import time
from collections.abc import Callable

from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER, Traffic, discrepancies
from eventroute.schemes import SCHEMES, KeyPair, generate_secret

GOAL_S = 2.0


def test_both_secrets_are_accepted_and_then_the_new_one_only(site: Installation) -> None:
    site.add_route("rotated", PROVIDER)
    before = {program: site.starts(program) for program in ("receiver", "worker", "operator")}
    new = generate_secret(SCHEMES[PROVIDER])
    traffic = Traffic(site, "rotated")
    with traffic.flowing():
        traffic.until_acknowledged(5)
        _apply_secret(site, "rotated-next", new)
        took_s = _took(lambda: _name_secrets(site, "rotated-next", "rotated-hook"), lambda: _status(site, new) == 200)
        traffic.until_acknowledged(20)
    assert took_s < GOAL_S
    assert traffic.statuses().keys() == {200}, "the old secret goes on being accepted"
    assert discrepancies(traffic) == []

    _name_secrets(site, "rotated-next")
    until(lambda: site.send("rotated", PROVIDER).status_code == 401, "a refusal of the old secret")
    assert _status(site, new) == 200
    assert {program: site.starts(program) for program in before} == before


def test_a_secret_that_is_edited_in_place_counts_at_once(site: Installation) -> None:
    site.add_route("edited-secret", PROVIDER)
    before = {program: site.starts(program) for program in ("receiver", "worker", "operator")}
    new = generate_secret(SCHEMES[PROVIDER])
    took_s = _took(
        lambda: _apply_secret(site, "edited-secret-hook", new),
        lambda: _status(site, new, route="edited-secret") == 200,
    )
    assert took_s < GOAL_S
    assert site.send("edited-secret", PROVIDER).status_code == 401
    assert {program: site.starts(program) for program in before} == before


def _status(site: Installation, pair: KeyPair, route: str = "rotated") -> int:
    return site.send(route, PROVIDER, key=pair.signing).status_code


def _took(act: Callable[[], None], is_done: Callable[[], bool]) -> float:
    """Measure from the API server's taking of a change until it shows."""
    act()
    began = time.monotonic()
    until(is_done, "the new secret is accepted")
    return time.monotonic() - began


def _apply_secret(site: Installation, name: str, pair: KeyPair) -> None:
    data = {"secret": base64.b64encode(pair.configured).decode()}
    site.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})


def _name_secrets(site: Installation, *names: str) -> None:
    site.patch_route("rotated", secretRefs=[{"name": name, "key": "secret"} for name in names])
