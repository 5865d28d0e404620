"""Secrets that no route names cost the operator next to nothing: it is told that they are there, not what they hold."""

import asyncio
import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

import pytest

from e2e.api.conftest import DEFINITION
from support.api_server import api_server
from support.control_plane import SECRET, ControlPlane, Namespace, control_plane
from support.operator_process import OperatorProcess
from support.waiting import until

MANY = 5000
BYTES = 8192
ROOM = 60 << 20
"""What all of them may cost, where their values alone are 40 MiB, and twice that once they are parsed."""


def peak_bytes(operator: OperatorProcess) -> int:
    """Read how much memory the process has had at most."""
    lines = Path(f"/proc/{operator.pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


async def peak_after_some_time(plane: ControlPlane, team: Namespace, route: str) -> int:
    """Start an operator anew, and let it list and watch until it has told of a change, twice over."""
    plane.operator.kill()
    plane.operator.start()
    await plane.operator.until_ready()
    team.apply_route(route)
    await team.until_ready(route, timeout_s=30)
    lists = await plane.operator.metric("eventroute_operator_resyncs_total")

    async def has_listed_again() -> bool:
        return await plane.operator.metric("eventroute_operator_resyncs_total") >= lists + 2

    await until(has_listed_again, timeout_s=60)
    return peak_bytes(plane.operator)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with an API server of its own: removing so many Secrets takes longer than the test."""
    with api_server(Path(mkdtemp(prefix="er-api-"))) as server:
        server.define(DEFINITION)
        with control_plane(tmp_path_factory.mktemp("plane"), server) as running:
            yield running


def fill(plane: ControlPlane, namespace: str) -> None:
    """Make many Secrets, as others keep them in a cluster."""
    value = base64.b64encode(b"x" * BYTES).decode()

    def make(number: int) -> None:
        body = {"metadata": {"name": f"unnamed-{number}"}, "data": {"value": value}}
        assert plane.kubernetes.post(f"/api/v1/namespaces/{namespace}/secrets", json=body).is_success

    with ThreadPoolExecutor(8) as makers:
        list(makers.map(make, range(MANY)))


@pytest.mark.timeout(300)
async def test_thousands_of_secrets_that_no_route_names_take_little_memory(
    plane: ControlPlane, team: Namespace
) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    without = await peak_after_some_time(plane, team, "before")
    await asyncio.to_thread(fill, plane, team.name)  # while it watches
    watching = peak_bytes(plane.operator)
    listing = await peak_after_some_time(plane, team, "after")
    assert watching - without < ROOM
    assert listing - without < ROOM
    team.apply_secret("hook", {"secret": SECRET + "-new"})  # one that is named is noticed among them
    await until(lambda: team.deliver("after", secret=SECRET + "-new") == 200)
