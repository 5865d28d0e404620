"""The chart's Valkey, by the chart's own files: what its configuration promises, and whom it lets in."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from eventroute import acl
from eventroute.runtime.redis import connect
from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_binary

pytestmark = pytest.mark.real

FILES = Path(__file__).parents[3] / "charts/eventroute/files"


def with_passwords(acl: str) -> str:
    """Give each user its own name as password."""
    return re.sub(r"<(\w+)>", lambda user: hashlib.sha256(user[1].encode()).hexdigest(), acl)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a Valkey with the chart's configuration; only its folders and port are this test's."""
    folder, port = tmp_path_factory.mktemp("valkey"), free_port()
    users = folder / "users.acl"
    users.write_text(with_passwords((FILES / "users.acl").read_text(encoding="utf-8")))
    configuration = (FILES / "valkey.conf").read_text(encoding="utf-8")
    for said, here in {"port 6379": f"port {port}", "/data": folder, "/etc/valkey/acl/users.acl": users}.items():
        assert said in configuration
        configuration = configuration.replace(said, str(here))
    (folder / "valkey.conf").write_text(configuration + "maxmemory 64mb\n")
    with Processes(folder) as processes:
        processes.start("valkey", [server_binary(), str(folder / "valkey.conf")], os.environ)
        processes.wait_listening("valkey", port, timeout_s=10)
        yield f"127.0.0.1:{port}"


def signed_in(address: str, user: str) -> Redis:
    return connect(f"redis://{user}:{user}@{address}/0")


@pytest.mark.parametrize("user", sorted(acl.rules()))
async def test_every_user_of_the_rules_signs_in(address: str, user: str) -> None:
    async with signed_in(address, user) as redis:
        assert await redis.ping()


async def test_without_a_name_nobody_signs_in(address: str) -> None:
    async with connect(f"redis://{address}/0") as redis:
        with pytest.raises(AuthenticationError):
            await redis.ping()


@pytest.mark.parametrize("user", sorted(acl.rules()))
@pytest.mark.parametrize("command", ["FLUSHALL", "CONFIG GET maxmemory", "KEYS *", "ACL LIST", "SHUTDOWN"])
async def test_no_user_may_administrate(address: str, user: str, command: str) -> None:
    async with signed_in(address, user) as redis:
        with pytest.raises(NoPermissionError):
            await redis.execute_command(command)


def test_what_is_acknowledged_is_on_disk_within_a_second_and_nothing_is_evicted() -> None:
    settings = dict(
        line.split(" ", 1)
        for line in (FILES / "valkey.conf").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert settings["appendonly"] == "yes"
    values = yaml.safe_load((FILES.parent / "values.yaml").read_text(encoding="utf-8"))
    assert values["valkey"]["persistence"]["fsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"
