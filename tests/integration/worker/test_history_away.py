"""A history that cannot be read now is a passing trouble of Redis, and none of the delivery."""

import pytest
from redis.asyncio import Redis

from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import RedisAway
from eventroute_cli.local.processes import free_port
from eventroute_worker.history import History
from support.queue import admit_job, lease, work_on
from support.runs import HISTORY, sample_delivery

pytestmark = pytest.mark.real


async def test_a_redis_that_is_away(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    taken = await lease(redis)
    away = connect(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(RedisAway) as told:
        await History(away, work_on(redis)).recall(HISTORY, sample_delivery(), "7", lease=taken, seq=1)
    await away.aclose()
    assert told.value.word == "LOST"
