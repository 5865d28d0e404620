"""The chart's Valkey, by the chart's own files: what its configuration promises, and whom it lets in."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from eventroute import acl
from eventroute.runtime.redis import connect
from eventroute.runtime.redis_url import with_password
from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_binary

pytestmark = pytest.mark.real

FILES = Path(__file__).parents[3] / "charts/eventroute/files"


ODD = "p:ss w@rd?#<reader>\\'\""
"""What somebody's own Secret may hold as a password."""


class Installed:
    """The chart's files where the chart's StatefulSet has them, but below a folder of this test's own."""

    def __init__(self, folder: Path, passwords: Mapping[str, str]) -> None:
        self.folder, self.port = folder, free_port()
        for name in ("chart", "passwords", "acl", "data", "bin"):
            (folder / name).mkdir()
        (folder / "bin/valkey-server").symlink_to(server_binary())
        for user, password in passwords.items():
            (folder / f"passwords/{user}-password").write_text(password)
        here = {"/etc/valkey": folder, "dir /data": f"dir {folder}/data", "port 6379": f"port {self.port}"}
        for file in ("valkey.sh", "users.acl", "valkey.conf"):
            text = (FILES / file).read_text(encoding="utf-8")
            for said, replaced in here.items():
                text = text.replace(said, str(replaced))
            (folder / "chart" / file).write_text(text)
        with (folder / "chart/valkey.conf").open("a") as configuration:
            configuration.write("maxmemory 64mb\n")
        self.command = ["sh", str(folder / "chart/valkey.sh")]
        self.environ = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A Valkey as the chart starts it; each user's password is its name, with a line's end as people leave them."""
    found = Installed(tmp_path_factory.mktemp("valkey"), {user: f"{user}\n" for user in acl.rules()} | {"desk": ODD})
    with Processes(found.folder) as processes:
        processes.start("valkey", found.command, found.environ)
        processes.wait_listening("valkey", found.port, timeout_s=10)
        yield found


@pytest.fixture
def address(installed: Installed) -> str:
    """Host and port."""
    return f"127.0.0.1:{installed.port}"


def signed_in(address: str, user: str) -> Redis:
    return connect(with_password(f"redis://{user}@{address}/0", ODD if user == "desk" else user))


def test_no_password_stands_in_what_valkey_reads(installed: Installed) -> None:
    users = (installed.folder / "acl/users.acl").read_text(encoding="utf-8")
    assert ODD not in users
    assert not re.search("[<>]", users)


def started(folder: Path, *without: str) -> "subprocess.CompletedProcess[str]":
    """Start with a Secret that lacks some passwords, and with a server that only says that it was started."""
    installed = Installed(folder, {user: user for user in acl.rules() if user not in without})
    server = folder / "bin/valkey-server"
    server.unlink()
    server.write_text("#!/bin/sh\necho started\n")
    server.chmod(0o755)
    return subprocess.run(installed.command, env=installed.environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("user", ["reader", "desk"])
def test_without_a_password_a_user_that_no_program_is_cannot_sign_in(tmp_path: Path, user: str) -> None:
    ended = started(tmp_path, user)
    assert (ended.returncode, ended.stdout) == (0, "started\n")
    assert f"has no {user}-password" in ended.stderr
    assert f"user {user} " not in (tmp_path / "acl/users.acl").read_text()


@pytest.mark.parametrize("user", ["receiver", "worker", "operator"])
def test_without_a_programs_password_valkey_does_not_start_and_says_why(tmp_path: Path, user: str) -> None:
    ended = started(tmp_path, user)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"has no {user}-password: nobody signs in as {user}" in ended.stderr


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
