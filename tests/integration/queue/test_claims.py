"""What a claim holds: the id of the delivery that took it, in few bytes where it has the usual form."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import Claim, ClaimId, DeliveryId, new_delivery_id
from eventroute.queue import Admissions, Admitted, Candidate, Fate, Limits, New, Repeat
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

CLAIM = Claim(ClaimId("one"), 600)


async def offer(redis: Redis, name: str) -> Fate:
    admissions = Admissions(ClientCaller(redis), limits=Limits(9, 0))
    found = await admissions.admit(PATH, [Candidate(sample_delivery(name), [CLAIM])], rate=None)
    assert isinstance(found, Admitted)
    return found.fates[0]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(new_delivery_id(), 15, id="new"),
        ("d-ffffffffffffffffffffffffffff", 15),
        ("d-0000000000000000000000000000", 15),
        ("d-00000000000000000000000000000", 31),
        ("d-000000000000000000000000000g", 30),
        ("d-1", 3),
    ],
)
async def test_it_names_the_first_one_whatever_its_form(redis: Redis, name: str, size: int) -> None:
    assert await offer(redis, name) == New(DeliveryId(name))
    assert await redis.strlen(GROUP.claim(CLAIM.id)) == size
    assert await offer(redis, "d-other") == Repeat(DeliveryId(name))
