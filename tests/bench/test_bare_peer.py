"""The bare peer speaks to the admission script by hand, and so has to follow it."""

import importlib
from collections.abc import Sequence
from typing import Any

import pytest

from bench.peers.eventroute import GROUP, ROUTE
from eventroute.delivery import encode_delivery
from eventroute.ids import Claim, ClaimId, DeliveryId
from eventroute.queue import Admissions, Candidate, Limits
from eventroute.queue.scripts import ADMIT
from eventroute.runtime.scripts import Argument, Script
from support.runs import sample_delivery


async def test_the_bare_peer_gives_the_script_what_the_receiver_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")  # read when it is imported, and never called here
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    peer = importlib.import_module("bench.peers.bare_durable")
    given: list[Sequence[Argument]] = []

    async def record(script: Script, key: str, args: Sequence[Argument]) -> Any:
        assert (script, key) == (ADMIT, GROUP.prefix)
        given.append(args)
        return [b"ok", b""]

    delivery = sample_delivery(DeliveryId("d-1"))
    candidate = Candidate(delivery, [Claim(ClaimId("d-1"), 4 * 86_400)])
    await Admissions(record, limits=Limits(1_000_000, 0)).admit(ROUTE, [candidate], rate=None, traceparent="t")
    ours = [each.encode() if each == "d-1" else each for each in given[0]]
    assert peer.arguments(b"d-1", encode_delivery(delivery), "t") == ours
