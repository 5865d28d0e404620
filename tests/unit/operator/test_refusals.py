"""What the API server refuses is tried again, unless trying again cannot help."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from lightkube import AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User

from eventroute.errors import Refused, RetryLater
from eventroute_operator.api import Api
from support.cluster_objects import TRIAGE


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async def refuse(request: web.Request) -> web.Response:
        code = int((await request.json())[0]["value"])
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Odd", "code": code}
        return web.Response(body=json.dumps(status).encode(), status=code, content_type="application/json")

    app = web.Application()
    app.router.add_patch("/{path:.*}", refuse)
    async with TestServer(app) as running:
        yield str(running.make_url("/"))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (401, RetryLater),
        (403, RetryLater),  # a role may be bound later than the operator starts
        (404, Refused),
        (409, RetryLater),  # somebody else wrote the object at the same time, several times in a row
        (422, Refused),
        (429, RetryLater),
        (500, RetryLater),
        (503, RetryLater),
    ],
)
async def test_a_status_that_is_refused(server: str, code: int, error: type[Exception]) -> None:
    cluster = Cluster(server=server)
    client = AsyncClient(config=KubeConfig.from_one(cluster=cluster, user=User(token="unused")))
    try:
        with pytest.raises(error):
            await Api(client, secret_labels={}).write_status(TRIAGE, str(code), {})
    finally:
        await client.close()
