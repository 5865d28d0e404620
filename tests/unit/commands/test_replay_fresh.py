"""A fixture that is replayed afresh is another event for every provider, and says the same."""

import time

import pytest

from eventroute.schemes import SCHEMES, Events, Key, Request, Scheme, generate_secret, parse_key, read, sign, verify
from eventroute.schemes.verify import Verified
from eventroute_cli.fixtures import Recorded
from eventroute_cli.replay import resign
from eventroute_cli.samples import build_request, load_sample, sample_events

URL = "https://hooks.example.com/hooks/team-a/route"
CASES = [(name, event) for name in SCHEMES for event in sample_events(name)]


def marks(scheme: Scheme, request: Request) -> set[object]:
    found = read(scheme, request)
    return {mark for item in found.items for mark in item.marks} if isinstance(found, Events) else set()


@pytest.mark.parametrize(("name", "event"), CASES)
def test_it_is_no_duplicate(name: str, event: str) -> None:
    scheme, now = SCHEMES[name], time.time()
    pair = generate_secret(scheme)
    first = sign(scheme, build_request(load_sample(name, event, now=now), url=URL), secret=pair.signing, now=now)
    headers = tuple((key.decode().title(), value.decode()) for key, value in first.headers)
    recorded = Recorded(id="x", method="POST", url=URL, headers=headers, body=first.body)
    again = [resign(recorded, scheme, secret=pair.signing, url=URL, now=now, fresh=fresh) for fresh in (True, True)]
    known = marks(scheme, first)
    for request in again:
        keys: list[Key] = [parse_key(scheme, pair.configured)] if scheme.kind != "none" else []
        assert isinstance(verify(scheme, request, keys, now), Verified)
        new = marks(scheme, request)
        assert bool(new) == bool(known)
        assert new.isdisjoint(known)
        known |= new
