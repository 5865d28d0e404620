"""A Redis elsewhere, reached over TLS with an authority of its owner's, instead of the chart's Valkey."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from e2e.support.cluster import Cluster
from e2e.support.connections import idle_pod
from e2e.support.images import VALKEY
from e2e.support.installation import GROUP, TRIAL, Installation, merge, new_namespace, until
from e2e.support.traffic import PROVIDER
from support.certificates import Authority

TLS_PORT = 6390
PASSWORD = "of-somebody-else"

# Valkey as it comes here has no TLS, so something in front of it has.
FRONT = f"""
import asyncio, ssl

async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def take(reader, writer):
    behind, onward = await asyncio.open_connection("127.0.0.1", 6379)
    await asyncio.gather(copy(reader, onward), copy(behind, writer), return_exceptions=True)

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
    async with await asyncio.start_server(take, "0.0.0.0", {TLS_PORT}, ssl=context) as server:
        await server.serve_forever()

asyncio.run(main())
"""


VALUES = {
    "valkey": {"enabled": False},
    "redis": {
        "urlSecret": {"name": "redis", "keys": dict.fromkeys(("receiver", "worker", "operator"), "url")},
        "caSecret": {"name": "authority"},
        "ports": [TLS_PORT],
    },
}


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    """Describe a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def server(authority: Authority, host: str) -> list[dict[str, Any]]:
    """Describe a Valkey behind TLS, its Service, and its certificate for this host."""
    certified = authority.certify(host)
    pod = idle_pod("redis")
    (idle,) = pod["spec"]["containers"]
    valkey = ["valkey-server", "--requirepass", PASSWORD, "--save", "", "--maxmemory-policy", "noeviction"]
    front = {
        "command": ["python", "-c", FRONT],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
        "readinessProbe": {"tcpSocket": {"port": TLS_PORT}, "periodSeconds": 1},
    }
    pod["metadata"]["labels"] = {"app": "redis"}
    pod["spec"] |= {
        "containers": [
            {**idle, "name": "valkey", "image": VALKEY, "command": valkey},
            {**idle, "name": "front", **front},
        ],
        "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
    }
    ports = [{"name": "tls", "port": TLS_PORT}, {"name": "plain", "port": 6379}]
    return [
        secret("tls", {"tls.crt": certified.certfile.read_text(), "tls.key": certified.keyfile.read_text()}),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "redis"},
            "spec": {"selector": pod["metadata"]["labels"], "ports": ports},
        },
        pod,
    ]


@pytest.fixture(scope="module")
def elsewhere(cluster: Cluster) -> Iterator[Installation]:
    """A namespace for the Redis."""
    if cluster.kind != "host":
        pytest.skip("the image of Valkey alone is made for CLUSTER=host")
    found = Installation(cluster, new_namespace("redis"))
    found.create_namespace()
    yield found
    cluster.kubectl("delete", "namespace", found.namespace, "--wait=false")
    found.close()


@pytest.fixture(scope="module")
def installation(
    cluster: Cluster, elsewhere: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation without a Valkey of its own."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    host = f"redis.{elsewhere.namespace}.svc"
    elsewhere.apply(*server(authority, host))
    elsewhere.kubectl("wait", "--for=condition=Ready", "pod/redis", "--timeout=60s")
    found = Installation(cluster, new_namespace())
    found.create_namespace()
    url = f"rediss://:{PASSWORD}@{host}:{TLS_PORT}/3?ssl_ca_certs=/etc/eventroute/redis-ca/ca.crt"
    found.apply(secret("redis", {"url": url}), secret("authority", {"ca.crt": authority.certfile.read_text()}))
    try:
        found.install(merge(TRIAL, VALUES))
        yield found
    finally:
        cluster.kubectl("delete", "namespace", found.namespace, "--wait=false")
        found.close()


def test_a_webhook_is_answered_by_way_of_the_redis_elsewhere(
    cluster: Cluster, elsewhere: Installation, installation: Installation
) -> None:
    assert "valkey" not in installation.kubectl("get", "pods", "--output=name")
    installation.add_route("triage", PROVIDER)
    delivery = installation.send("triage", PROVIDER).json()["delivery"]
    with cluster.address(elsewhere.namespace, "redis", 6379) as address:
        host, _, port = address.partition(":")
        client = redis.Redis(host=host, port=int(port), db=3, password=PASSWORD, decode_responses=True)
        stream = GROUP.stream(installation.namespace, "answers")
        until(lambda: delivery in [fields["delivery"] for _, fields in client.xrange(stream)], "the answer")
