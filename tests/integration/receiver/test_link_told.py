"""What the log says of a lost connection: one line when it ends and one when it is back, though there are two."""

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from support.redis_link import linked
from support.waiting import until

pytestmark = pytest.mark.real


async def test_a_connection_that_is_cut_is_told_once_and_so_is_its_return(valkey_url: str, redis: Redis) -> None:
    async with linked(valkey_url) as link:
        await until(lambda: link.is_up and link._large.wire is not None)
        with capture_logs() as logs:
            await redis.client_kill_filter(_type="normal", skipme=True)
            await until(lambda: not link.is_up)
            await until(lambda: link.is_up and link._large.wire is not None)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("redis_connection_lost", "warning"),
        ("redis_connected", "info"),
    ]


async def test_the_second_connection_is_lost_without_a_word(valkey_url: str, redis: Redis) -> None:
    async with linked(valkey_url) as link:
        await until(lambda: link.is_up and link._large.wire is not None)
        large = link._large.wire
        assert large is not None
        with capture_logs() as logs:
            large.close()
            await until(lambda: link._large.wire not in {None, large})
    assert logs == []
