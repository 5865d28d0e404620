"""What is left of a delivery that has ended: less and less, and in the smaller of Redis' two forms."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import Claim, ClaimId, new_delivery_id
from eventroute.queue import Admissions, Admitted, Candidate, Limits, Repeat, Retention
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, admit, fields, lease, upkeep_of, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

KEPT = Retention(body=60_000, answer=120_000, record=600_000)
END = {"state", "outcome", "finished", "about"}


async def test_a_delivery_sheds_its_body_with_what_only_a_run_needs_then_its_answer_then_its_record(
    redis: Redis,
) -> None:
    work, upkeep = work_on(redis), upkeep_of(redis)
    name = await admit(redis, sample_delivery(payload=b'"%s"' % (b"x" * 5000)), traceparent="00-1-2-00")
    key = GROUP.delivery(name)
    taken = await lease(redis)
    await work.begin(taken, traceparent="")
    await work.save(taken, b"an answer")
    await work.mark_sink(taken, "log")
    await work.settle(taken, outcome="succeeded", reason="", detail="", retention=KEPT, fields={"about": "{}"})

    async def relieve(kind: str) -> int:
        return await upkeep.relieve(GROUP, PATH, kind, older_ms=-1, count=10)

    assert await relieve("bodies") == 1
    assert set(await fields(redis, name)) == END | {"path", "at", "attempts", "trace", "answer"}
    assert await redis.object("encoding", key) == b"listpack"
    assert KEPT.record - 60_000 < await redis.pttl(key) <= KEPT.record
    assert await relieve("answers") == 1
    assert set(await fields(redis, name)) == END | {"path", "at", "attempts"}
    assert await redis.zrange(GROUP.finished("records", PATH), 0, -1) == [name.encode()]
    assert await relieve("records") == 1
    assert not await redis.exists(key, GROUP.finished("records", PATH))


@pytest.mark.parametrize(
    "name", [pytest.param(new_delivery_id(), id="new"), "d-1", "d-" + "0" * 28, "d-" + "F" * 28, "d-" + "f" * 14]
)
async def test_a_claim_leads_back_to_the_delivery_that_took_it(redis: Redis, name: str) -> None:
    admissions = Admissions(ClientCaller(redis), limits=Limits(10, 0))
    claims = [Claim(ClaimId("c-1"), 60)]
    first = sample_delivery(name)
    await admissions.admit(PATH, [Candidate(first, claims)], rate=None)
    said = await admissions.admit(PATH, [Candidate(sample_delivery("d-2"), claims)], rate=None)
    assert said == Admitted([Repeat(first.id)])
