"""A demo that cannot run says why in a sentence, ends with 2, and leaves nothing behind."""

import socket
from collections.abc import Mapping
from pathlib import Path
from signal import SIGINT

import httpx
import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.queue import Group
from support.command import command, run

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("environ", "arguments", "message"),
    [
        ({}, ["--real"], "error: --real needs ANTHROPIC_API_KEY"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, [], "error: REDIS_URL: Redis cannot be reached"),
        ({"REDIS_URL": "127.0.0.1:6379"}, [], "error: Redis URL: scheme: is none of redis, rediss, unix"),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path, environ: Mapping[str, str], arguments: list[str], message: str
) -> None:
    ended, left = run("demo", *arguments, folder=tmp_path, **environ)
    assert message in ended.output
    assert "Traceback" not in ended.output
    assert (ended.code, left) == (2, [])


def test_a_port_that_is_taken_is_named_and_its_owner_gets_no_webhooks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended, left = run("demo", "--port", str(port), folder=tmp_path)
        taken.settimeout(0)
        with pytest.raises(BlockingIOError):
            taken.accept()
    assert f"error: cannot listen on 127.0.0.1:{port}: Address already in use" in ended.output
    assert (ended.code, left) == (2, [])


def test_a_program_that_dies_at_its_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = tmp_path / "bin" / "valkey-server"
    server.parent.mkdir()
    server.write_text("#!/bin/sh\necho Fatal error, the disk is made of cheese\nexit 3\n")
    server.chmod(0o755)
    ended, left = run("demo", folder=tmp_path, PATH=f"{server.parent}:/usr/bin:/bin")
    assert "error: redis ended with code 3:\nFatal error, the disk is made of cheese" in ended.output
    assert (ended.code, left) == (2, [])


async def test_a_redis_of_the_users_is_used_and_left_as_it_was_found(
    tmp_path: Path, redis: Redis, valkey_url: str, unused_port: int
) -> None:
    with command("demo", "--serve", "--port", str(unused_port), folder=tmp_path, REDIS_URL=valkey_url) as running:
        running.until_said("Logs:")
        assert len(await _tables(redis)) == 2
        assert not any("valkey" in line for line in running.children())
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"http://127.0.0.1:{unused_port}/hooks/nobody/knows")).status_code == 404
        running.send(SIGINT)
        assert running.end().code == 130
        assert running.left_behind() == []
    assert await _tables(redis) == []
    assert int(await redis.hget(Group(0).usage, "depth") or 0) == 0


async def test_a_redis_with_an_installations_route_table_is_not_touched(
    tmp_path: Path, redis: Redis, valkey_url: str
) -> None:
    await redis.hset(keys.table("worker"), "@version", "7")
    ended, left = run("demo", folder=tmp_path, REDIS_URL=valkey_url)
    assert "error: REDIS_URL: an installation's route table is there" in ended.output
    assert (ended.code, left) == (2, [])
    assert await redis.keys("*") == [keys.table("worker").encode()]
    assert await redis.hgetall(keys.table("worker")) == {b"@version": b"7"}


async def _tables(redis: Redis) -> list[bytes]:
    return [key async for key in redis.scan_iter(match=keys.table("*"))]
