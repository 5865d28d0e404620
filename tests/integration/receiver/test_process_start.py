"""A receiver that cannot start says why in one line, shows no secret, and does not linger."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from eventroute.sealed import new_key_text
from eventroute_cli.local.processes import free_port

COMMAND = [sys.executable, "-m", "eventroute_receiver"]


def environment(**changes: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "EVENTROUTE_RECEIVER_HOST": "127.0.0.1",
        "EVENTROUTE_RECEIVER_PORT": str(free_port()),
        "EVENTROUTE_RECEIVER_PROBE_PORT": str(free_port()),
        "EVENTROUTE_RECEIVER_REDIS_URL": "redis://:s3cr3t@127.0.0.1:1/0",
        "EVENTROUTE_RECEIVER_TABLE_KEY": new_key_text(),
        **{f"EVENTROUTE_RECEIVER_{name}": value for name, value in changes.items()},
    }


def started(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(COMMAND, env=environ, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"PORT": "http"}, "EVENTROUTE_RECEIVER_PORT"),
        ({"TABLE_KEY": "not-a-key-of-32-bytes"}, "key"),
        ({"REDIS_URL": "redis://:not-a-key@"}, "Redis URL: host"),
        ({"REDIS_URL": "rediss://r?ssl_ca_certs=/nowhere/ca.crt"}, "/nowhere/ca.crt"),
        ({"TABLE_KEY_FILE": "/nowhere/table-key"}, "/nowhere/table-key"),
    ],
)
def test_a_bad_setting_is_named_and_the_exit_code_is_2(changes: dict[str, str], named: str) -> None:
    ended = started(environment(**changes))
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "not-a-key" not in ended.stderr


@pytest.mark.parametrize("port", ["PORT", "PROBE_PORT"])
def test_a_taken_port_ends_it(taken_port: int, port: str) -> None:
    ended = started(environment(**{port: str(taken_port)}))
    assert ended.returncode not in {0, -15}
    assert "address already in use" in ended.stderr
    assert "s3cr3t" not in ended.stderr
