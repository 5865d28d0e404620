"""No script can touch two servers of a cluster: each declares its group's prefix, and builds all keys of it."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from eventroute.queue import Group, scripts
from eventroute.runtime.scripts import Script
from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_command
from integration.queue.test_model import assert_holds

pytestmark = pytest.mark.real

SCRIPTS = {name: value for name, value in vars(scripts).items() if isinstance(value, Script)}


@pytest.mark.parametrize("name", sorted(SCRIPTS))
async def test_redis_itself_sees_one_key(redis: Redis, name: str) -> None:
    command = ("EVALSHA", SCRIPTS[name].sha, 1, Group(3).prefix, "an argument")
    assert await redis.command_getkeys(*command) == ["er:{g3}:"]


def test_a_server_of_a_cluster_lets_every_script_have_the_keys_that_it_uses(tmp_path: Path) -> None:
    port = free_port()
    with Processes(tmp_path) as processes:
        command = [*server_command(port, tmp_path), "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
        processes.start("valkey", command, {})
        processes.wait_listening("valkey", port, timeout_s=10)
        asyncio.run(_take_all_slots(port))
        assert_holds(f"redis://127.0.0.1:{port}/0", examples=15)


async def _take_all_slots(port: int) -> None:
    async with Redis(port=port) as redis:
        await redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        while b"cluster_state:ok" not in await redis.execute_command("CLUSTER", "INFO"):
            await asyncio.sleep(0.05)
