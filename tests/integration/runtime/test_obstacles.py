"""What the queue says of a route's deliveries that wait is what the route's status says."""

import pytest
from redis.asyncio import Redis

from eventroute.crd.status import StatusReason
from eventroute.queue import Amount, Trouble
from eventroute_operator.obstacles import Obstacle, read_obstacles
from support.queue import GROUP, admit_job, lease, upkeep_of, work_on
from support.runs import PATH

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            Trouble(reason="budget", detail="the budget of namespace team-a has no room", budget="team-a"),
            Obstacle(StatusReason.BUDGET_SPENT, "the budget of namespace team-a has no room"),
        ),
        (
            Trouble(reason="billing", detail="402", key_id="own"),
            Obstacle(StatusReason.KEY_UNPAID, "Claude's API refuses the key: 402"),
        ),
        (
            Trouble(reason="not_found", detail="404", key_id="own", model="m"),
            Obstacle(StatusReason.MODEL_UNAVAILABLE, "model m: 404"),
        ),
    ],
)
async def test_what_is_parked_is_told_of_its_route_and_no_other(redis: Redis, trouble: Trouble, said: Obstacle) -> None:
    await admit_job(redis, "d-1")
    await work_on(redis).park(await lease(redis), trouble, has_asked=True, need=Amount(1, 1))
    found = await read_obstacles(upkeep_of(redis), [GROUP])
    assert found.by_route == {PATH: said}
