"""Secrets that no route names cost the operator next to nothing: it is told that they are there, not what they hold."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.control_plane import SECRET, ControlPlane, Namespace
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


@pytest.fixture
async def crowd(plane: ControlPlane, team: Namespace) -> AsyncIterator[Namespace]:
    """A namespace to be filled with Secrets, which is empty again afterwards."""
    yield team
    await asyncio.to_thread(at_once, lambda name: plane.kubernetes.delete(f"{path(team.name)}/{name}"))


def fill(plane: ControlPlane, namespace: str) -> None:
    """Make many Secrets, as others keep them in a cluster."""
    value = base64.b64encode(b"x" * BYTES).decode()

    def make(name: str) -> None:
        body = {"metadata": {"name": name}, "data": {"value": value}}
        assert plane.kubernetes.post(path(namespace), json=body).is_success

    at_once(make)


def path(namespace: str) -> str:
    """Name a namespace's Secrets."""
    return f"/api/v1/namespaces/{namespace}/secrets"


def at_once(do: Callable[[str], object]) -> None:
    """Do something with each name, several at a time; one request for all would take longer than one may."""
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(do, (f"unnamed-{number}" for number in range(MANY))))


@pytest.mark.timeout(300)
async def test_thousands_of_secrets_that_no_route_names_take_little_memory(
    plane: ControlPlane, crowd: Namespace
) -> None:
    crowd.apply_secret("hook", {"secret": SECRET})
    without = await peak_after_some_time(plane, crowd, "before")
    await asyncio.to_thread(fill, plane, crowd.name)  # while it watches
    watching = peak_bytes(plane.operator)
    listing = await peak_after_some_time(plane, crowd, "after")
    assert watching - without < ROOM
    assert listing - without < ROOM
    crowd.apply_secret("hook", {"secret": SECRET + "-new"})  # one that is named is noticed among them
    await until(lambda: crowd.deliver("after", secret=SECRET + "-new") == 200)
