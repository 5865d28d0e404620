"""A Redis that is not believed, or does not let us in: the receiver says why, answers 503, and recovers by itself."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from redis.asyncio import Redis

from eventroute.route_table import RECEIVER
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from support.certificates import Authority
from support.receiver_process import ReceiverProcess, receiver_process
from support.receiving import opened
from support.sample_routes import receiver_route
from support.tls_front import tls_front
from support.waiting import until

pytestmark = pytest.mark.real


def logged(receiver: ReceiverProcess, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, receiver.log_lines()) if line["event"] == event]


async def post(receiver: ReceiverProcess) -> httpx.Response:
    request = opened()
    async with httpx.AsyncClient(base_url=receiver.url) as client:
        return await client.post("/hooks/team-a/triage", headers=request.headers, content=request.body)


async def probe(receiver: ReceiverProcess) -> httpx.Response:
    async with httpx.AsyncClient(base_url=receiver.probe_url) as client:
        return await client.get("/readyz")


async def test_a_wrong_authority_is_told_and_put_right_without_a_restart(
    tmp_path: Path, valkey_url: str, redis: Redis
) -> None:
    authority, table_key = Authority(tmp_path), new_key_text()
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(Authority(tmp_path, "another").certfile.read_bytes())
    behind = urlsplit(valkey_url).port or 0
    async with tls_front(behind, authority.certify("127.0.0.1")) as port:
        await publish(redis, RECEIVER, {receiver_route().path: receiver_route()}, SealKey.from_text(table_key))
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted}"
        with receiver_process(tmp_path, url, table_key) as receiver:
            await until(lambda: bool(logged(receiver, "redis_unreachable")))
            (told,) = logged(receiver, "redis_unreachable")
            assert (told["error"], "certificate verify failed" in told["detail"]) == ("SSLCertVerificationError", True)
            ready = await probe(receiver)
            assert (ready.status_code, ready.json()["redis"]) == (503, False)
            assert (await post(receiver)).status_code == 503

            trusted.write_bytes(authority.certfile.read_bytes())
            await receiver.until_warm()
            await until(lambda: bool(logged(receiver, "redis_connected")))
            assert (await post(receiver)).status_code == 200
            assert receiver.process.poll() is None


async def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path, valkey_url: str) -> None:
    url = valkey_url.replace("redis://", "redis://someone:s3cr3t@")
    with receiver_process(tmp_path, url, new_key_text()) as receiver:
        await until(lambda: bool(logged(receiver, "redis_unreachable")))
        assert "WRONGPASS" in logged(receiver, "redis_unreachable")[0]["detail"]
        assert (await probe(receiver)).status_code == 503
        assert "s3cr3t" not in "".join(receiver.log_lines())
