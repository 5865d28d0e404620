"""Each kind of sink that is elsewhere, with a destination of its own behind a front."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import RoutePath
from eventroute.queue import Desk, Wanted
from eventroute.route_table import (
    GithubComment,
    GithubSink,
    GithubToken,
    HttpSink,
    PostgresSink,
    RemoteSink,
    SlackApp,
    SlackSink,
    SlackWebhook,
    WorkerRoute,
)
from eventroute.secret import Secret
from support.chains import entries, route
from support.front import Front, standing_before
from support.github import ISSUE, REPOSITORY, TOKEN, serving_github
from support.postgres import Postgres
from support.queue import GROUP
from support.runs import sample_delivery, worker_route
from support.service import serving_messages
from support.slack import TOKEN as SLACK_TOKEN
from support.slack import WEBHOOK, serving_slack

KINDS: Final = ("http", "slack by webhook", "slack by app", "github", "postgres", "route")
_ESCALATE: Final = RoutePath("team-a/escalate")


@dataclass(frozen=True)
class Destination:
    """Where answers go."""

    routes: Sequence[WorkerRoute]
    """The first is the one of the deliveries."""
    there: Callable[[], Awaitable[list[str]]]
    """Lists the answers that are there; one that comes again under its own key is there once."""
    front: Front | None = None
    """None = there is nothing between."""
    slack: str = ""
    """Where Slack's API is."""


def delivery_of_github(name: str = "d-1") -> Delivery:
    """Build a delivery that each kind has something to write of."""
    payload = {"repository": {"id": 1, "full_name": REPOSITORY}, "pull_request": {"number": ISSUE}}
    return sample_delivery(name, payload=msgspec.json.encode(payload))


@contextlib.asynccontextmanager
async def destination(kind: str, *, redis: Redis, postgres: Postgres) -> AsyncIterator[Destination]:
    """Run one of a kind."""
    async with _MAKERS[kind](redis, postgres) as found:
        yield found


def _routes(sink: RemoteSink) -> Sequence[WorkerRoute]:
    return (worker_route(entity="payload.repository.full_name", sinks=(sink,)),)


@contextlib.asynccontextmanager
async def _http(_: Redis, __: Postgres) -> AsyncIterator[Destination]:
    async with serving_messages() as service, _before(service.url, writes=b"POST /answers") as front:
        sink = HttpSink(name="out", url=f"http://127.0.0.1:{front.port}/answers", secrets=(), timeout_s=0.5)

        async def there() -> list[str]:
            return list({message.headers["Idempotency-Key"] for message in service.messages})

        yield Destination(_routes(sink), there, front)


@contextlib.asynccontextmanager
async def _slack_by_webhook(_: Redis, __: Postgres) -> AsyncIterator[Destination]:
    async with serving_slack() as slack, _before(slack.url, writes=b"POST /services/") as front:
        url = f"http://127.0.0.1:{front.port}{WEBHOOK}"

        async def there() -> list[str]:
            return [message["text"] for message in slack.posted]

        yield Destination(_routes(SlackSink(name="out", by=SlackWebhook(url=Secret(url.encode())))), there, front)


@contextlib.asynccontextmanager
async def _slack_by_app(_: Redis, __: Postgres) -> AsyncIterator[Destination]:
    async with serving_slack() as slack, _before(slack.url, writes=b"POST /api/chat.postMessage") as front:
        by = SlackApp(token=Secret(SLACK_TOKEN.encode()), channel="C024BE91L")

        async def there() -> list[str]:
            return [message["text"] for message in slack.shown.values()]

        routes = _routes(SlackSink(name="out", by=by, update=True))
        yield Destination(routes, there, front, f"http://127.0.0.1:{front.port}")


@contextlib.asynccontextmanager
async def _github(_: Redis, __: Postgres) -> AsyncIterator[Destination]:
    async with serving_github() as github, _before(github.url, writes=b"POST /repos/") as front:
        by = GithubToken(token=Secret(TOKEN.encode()))
        url = f"http://127.0.0.1:{front.port}"

        async def there() -> list[str]:
            return github.at()

        yield Destination(
            _routes(GithubSink(name="out", base_url=url, by=by, write=GithubComment(update=False))), there, front
        )


@contextlib.asynccontextmanager
async def _postgres(_: Redis, postgres: Postgres) -> AsyncIterator[Destination]:
    async with standing_before(postgres.port, writes=b"INSERT INTO") as front:
        url = postgres.url().replace(f":{postgres.port}/", f":{front.port}/")

        async def there() -> list[str]:
            return [text for (text,) in postgres.rows("SELECT text FROM eventroute_answers")]

        sink = PostgresSink(name="out", url=Secret(url.encode()), table="eventroute_answers")
        yield Destination(_routes(sink), there, front)


@contextlib.asynccontextmanager
async def _route(redis: Redis, _: Postgres) -> AsyncIterator[Destination]:
    async def there() -> list[str]:
        found = await Desk({GROUP: redis}).look(Wanted(route=_ESCALATE))
        return [line.parent for line in found.lines]

    yield Destination(tuple(entries(route("triage", "escalate"), route("escalate")).values()), there)


def _before(url: str, *, writes: bytes) -> contextlib.AbstractAsyncContextManager[Front]:
    port = urlsplit(url).port
    assert port
    return standing_before(port, writes=writes)


_MAKERS: Final[dict[str, Callable[[Redis, Postgres], contextlib.AbstractAsyncContextManager[Any]]]] = dict(
    zip(KINDS, (_http, _slack_by_webhook, _slack_by_app, _github, _postgres, _route), strict=True)
)
