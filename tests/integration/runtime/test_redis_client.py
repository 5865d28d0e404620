"""The client: leaves a demoted server, gives up one that closes at once, and speaks through unix sockets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from eventroute.runtime.redis import connect
from eventroute_cli.local.processes import Processes
from eventroute_cli.local.redis_server import server_command
from support.redis_link import Scripted, linked
from support.waiting import until

pytestmark = pytest.mark.real


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "redis.sock"
    with Processes(tmp_path) as processes:
        command = [*server_command(0, tmp_path), "--unixsocket", str(path), "--requirepass", "s3cr3t"]
        processes.start("valkey", command, os.environ)
        processes.wait_until("valkey", path.exists, timeout_s=10)
        yield path


async def test_a_unix_socket_is_as_good_as_an_address(socket: Path) -> None:
    url = f"unix://:s3cr3t@{socket}?db=3"
    async with connect(url) as redis, linked(url) as link:
        await until(lambda: link.is_up)
        await link.call("SET", "a", "b")
        assert await redis.get("a") == b"b"
        assert (await redis.client_info())["db"] == 3


async def test_a_pipeline_that_a_demoted_server_refuses_is_the_last_thing_on_its_connection(redis: Redis) -> None:
    await redis.replicaof("127.0.0.1", "1")
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.set("a", "b")
            with pytest.raises(RedisConnectionError, match="no longer the primary"):
                await pipe.execute(raise_on_error=False)
    finally:
        await redis.replicaof("NO", "ONE")
    assert await redis.set("a", "b")


async def test_a_server_that_closes_at_once_is_given_up_after_a_few_attempts() -> None:
    server = Scripted(lambda _command: b"")
    async with server.serving(), connect(server.url) as redis:
        with pytest.raises(RedisConnectionError):
            await redis.ping()
    assert server.connections <= 3
