"""Where a provider never sends again by itself, its receipts wait for Redis: so many, and less long than it does."""

import asyncio
import time

import pytest
from msgspec.structs import replace

from eventroute.schemes import SCHEMES
from eventroute_receiver import admit as admit_module
from support.own_valkey import OwnValkey
from support.receipts import receipts
from support.receiving import Receiving, opened
from support.sample_routes import receiver_route
from support.waiting import until

PATIENT = receiver_route(scheme=SCHEMES["github"])


async def _serve(receiver: Receiving, patience_s: int) -> None:
    await receiver.serve(replace(PATIENT, scheme=replace(PATIENT.scheme, patience_s=patience_s)))
    assert (await receiver.post(opened(1))).status_code == 200


@pytest.mark.parametrize("name", sorted(name for name, row in SCHEMES.items() if row.patience_s))
def test_no_row_waits_for_longer_than_its_provider(name: str) -> None:
    answers_within_s = {"gitea": 5, "github": 10, "twilio": 15}[name.partition("-")[0]]
    assert SCHEMES[name].patience_s + 1.5 < answers_within_s, "the last try takes a second more"


async def test_receipts_wait_for_a_redis_that_restarts(fragile: OwnValkey, fragile_receiver: Receiving) -> None:
    await _serve(fragile_receiver, 8)
    fragile.kill()
    before = receipts()
    waiting = [asyncio.create_task(fragile_receiver.post(opened(number))) for number in range(2, 6)]
    await asyncio.sleep(1)
    assert not any(each.done() for each in waiting)
    fragile.restart()
    answers = [(await each).json() for each in waiting]
    assert [each["status"] for each in answers] == ["queued"] * 4
    assert {each["delivery"] for each in answers} < set(await fragile_receiver.queued())
    assert receipts() - before == {("team-a/triage", "queued", ""): 4}


async def test_a_call_that_was_carried_out_though_its_reply_got_lost_is_no_repeat(
    fragile: OwnValkey, fragile_receiver: Receiving
) -> None:
    await _serve(fragile_receiver, 8)
    with fragile.frozen():  # it takes what is sent, and carries it out once it goes on
        waiting = asyncio.create_task(fragile_receiver.post(opened(2)))
        await asyncio.sleep(1.5)
    answer = (await waiting).json()
    assert answer["status"] == "queued"
    assert (await fragile_receiver.queued())[1:] == [answer["delivery"]]


async def test_patience_ends(fragile: OwnValkey, fragile_receiver: Receiving) -> None:
    await _serve(fragile_receiver, 2)
    fragile.kill()
    started = time.monotonic()
    answer = await fragile_receiver.post(opened(2))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert 1.5 < time.monotonic() - started < 2 + 1.5


async def test_only_so_many_wait(
    fragile: OwnValkey, fragile_receiver: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admit_module, "_MOST_WAITING", 2)
    await _serve(fragile_receiver, 8)
    fragile.kill()
    waiting = [asyncio.create_task(fragile_receiver.post(opened(number))) for number in range(2, 5)]
    await until(lambda: any(each.done() for each in waiting))
    await asyncio.sleep(0.5)
    assert [each.done() for each in waiting].count(True) == 1
    fragile.restart()
    assert sorted(each.status_code for each in await asyncio.gather(*waiting)) == [200, 200, 503]
    assert (await fragile_receiver.post(opened(9))).status_code == 200
