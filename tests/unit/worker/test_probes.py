"""What the worker's probes say: alive while its loop goes round, ready while it can work."""

import time
from typing import Any, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from eventroute_worker.probes import HUNG_S, build_probes


class FakeRedis:
    def __init__(self, *, is_up: bool = True) -> None:
        self._is_up = is_up

    async def ping(self) -> bool:
        if not self._is_up:
            raise ConnectionRefusedError
        return True


async def _get(path: str, *, idle_s: float = 0, is_up: bool = True, is_warm: bool = True) -> tuple[int, Any]:
    app = build_probes(
        cast("Redis", FakeRedis(is_up=is_up)), last_turn=lambda: time.monotonic() - idle_s, is_warm=lambda: is_warm
    )
    async with TestClient(TestServer(app)) as client:
        response = await client.get(path)
        return response.status, await response.text()


@pytest.mark.parametrize(("idle_s", "status"), [(0, 200), (HUNG_S - 5, 200), (HUNG_S + 1, 503)])
async def test_a_loop_that_hangs_is_not_alive(idle_s: float, status: int) -> None:
    assert (await _get("/livez", idle_s=idle_s))[0] == status


async def test_a_worker_without_redis_is_alive() -> None:
    assert (await _get("/livez", is_up=False, is_warm=False))[0] == 200


@pytest.mark.parametrize(
    ("is_up", "is_warm", "status"), [(True, True, 200), (False, True, 503), (True, False, 503), (False, False, 503)]
)
async def test_only_a_worker_with_redis_and_a_table_is_ready(*, is_up: bool, is_warm: bool, status: int) -> None:
    assert (await _get("/readyz", is_up=is_up, is_warm=is_warm))[0] == status


async def test_metrics_are_exposed_before_anything_has_happened() -> None:
    status, text = await _get("/metrics")
    assert status == 200
    assert "eventroute_worker_in_flight" in text
