"""The `github` sink: the answer as a comment, a reply, labels or a check run, where the event is from.

What Claude says may be a stranger's words: it is Markdown that does nothing (`eventroute_worker.sinks.markdown`). Which
repository is written to says the event, as GitHub signed it, or the manifest, and nothing that Claude says.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, assert_never
from urllib.parse import quote
from weakref import WeakValueDictionary

import msgspec

from eventroute.route_table import (
    GithubApp,
    GithubCheckRun,
    GithubComment,
    GithubLabels,
    GithubReply,
    GithubSink,
    GithubToken,
)
from eventroute_worker.answer import Answer
from eventroute_worker.sinks.asking import Asks
from eventroute_worker.sinks.github.api import Asker, judge, read
from eventroute_worker.sinks.github.app import Tokens
from eventroute_worker.sinks.github.client import Client
from eventroute_worker.sinks.github.comments import MAX_BODY, Written, comment, reply, shortened
from eventroute_worker.sinks.github.place import Place, named_place, place_of
from eventroute_worker.sinks.markdown import Harmless, harmless
from eventroute_worker.sinks.model import AsItIs, Result, SinkRefused
from eventroute_worker.sinks.pace import Pace

_HARMLESS: Final = Harmless()
_AS_IT_IS: Final = AsItIs()
_A_SECOND: Final = 1.0
"""Source: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api"""
_MAX_SUMMARY: Final = 65_535
"""Characters of a check run's summary."""
_BETWEEN: Final = re.compile(r"[\n,]")


class _CheckRun(msgspec.Struct, frozen=True):
    id: int
    external_id: str | None = None


class _CheckRuns(msgspec.Struct, frozen=True):
    check_runs: tuple[_CheckRun, ...]


class GithubSinkWriter:
    """Writes answers."""

    def __init__(self, way: Asks, *, tokens: Tokens | None = None) -> None:
        """Take the way out."""
        self._way = way
        self._tokens = tokens or Tokens()
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def send(self, sink: GithubSink, result: Result) -> None:
        """Write the answer once; raises `SinkFailed` or `SinkRefused`."""
        place = await _place(sink, result)
        client = Client(Asker(self._way, sink.base_url), self._tokens, sink.by, place)
        match sink.write:
            case GithubComment(update=update):
                written = await _written(sink, result, for_all=update)
                async with self._alone(written, place):
                    await comment(client, place, written)
            case GithubReply():
                await reply(client, place, await _written(sink, result, for_all=False))
            case GithubLabels():
                await _label(client, place, await _picked(sink.write, result))
            case GithubCheckRun():
                text = await _text(sink, result)
                await _check(client, place, build_check_run(sink, sink.write, result, text=text))
            case _:
                assert_never(sink.write)

    @asynccontextmanager
    async def _alone(self, written: Written, place: Place) -> AsyncIterator[None]:
        """Wait for who writes the same in this process, lest neither finds what the other one makes."""
        what = f"{written.own_name} {place} {place.number or place.discussion or place.sha}"
        lock = self._writing.setdefault(what, asyncio.Lock())
        async with lock:
            yield


def pace_of(sink: GithubSink) -> Pace:
    """Tell whom GitHub counts: who writes is to wait a second between two requests that do."""
    match sink.by:
        case GithubToken(token=token):
            return Pace(f"github {sink.base_url} {token.reveal().decode()}", _A_SECOND)
        case GithubApp(id=app, installation=installation):
            return Pace(f"github {sink.base_url} {app} {installation or ''}", _A_SECOND)
        case _:
            assert_never(sink.by)


async def _place(sink: GithubSink, result: Result) -> Place:
    if sink.target is None:
        return place_of(result.delivery)
    return named_place(sink.target.repository, await result.write(sink.target.number, _AS_IT_IS, field="number"))


async def _text(sink: GithubSink, result: Result) -> str:
    return await result.write(sink.message, _HARMLESS) if sink.message else build_text(result.answer)


def build_text(answer: Answer) -> str:
    """Write what is said as Markdown that does nothing."""
    said = answer.text.strip() or f"No answer ({', '.join(filter(None, (answer.outcome, answer.reason)))})."
    return harmless(shortened(said, MAX_BODY))


async def _written(sink: GithubSink, result: Result, *, for_all: bool) -> Written:
    """Write a comment; `for_all` answers of the sink there is one."""
    route = result.delivery.route
    purpose = f"{route}/{sink.name}" if for_all else f"{route}/{result.idempotency_key(sink.name)}"
    text = await _text(sink, result)
    return Written(result.own_name(purpose), result.delivery.received_ms, result.marker, text)


async def _picked(labels: GithubLabels, result: Result) -> tuple[str, ...]:
    """Choose labels among those that the route's owner lists; what Claude says can name no other one."""
    if labels.pick is None:
        return labels.names
    said = _BETWEEN.split(await result.write(labels.pick, _AS_IT_IS, field="labels.pick"))
    named = {each.strip(' \t\r[]"').casefold() for each in said}
    return tuple(name for name in labels.names if name.casefold() in named)


async def _label(client: Client, place: Place, names: tuple[str, ...]) -> None:
    if not place.number:
        raise SinkRefused(
            "the event is about no issue or pull request, which alone have labels; set repository and number"
        )
    if names:
        judge(await client.ask("POST", f"/issues/{place.number}/labels", {"labels": names}))


async def _check(client: Client, place: Place, run: dict[str, Any]) -> None:
    """Make a check run, unless an earlier attempt has made it."""
    if not place.sha:
        raise SinkRefused(
            "the event is about no commit, which alone have check runs; have `when` choose those that are"
        )
    found = await _find_check(client, place, run)
    if found is not None:
        judge(await client.ask("PATCH", f"/check-runs/{found}", run))
    else:
        judge(await client.ask("POST", "/check-runs", {**run, "head_sha": place.sha}))


def build_check_run(sink: GithubSink, write: GithubCheckRun, result: Result, *, text: str) -> dict[str, Any]:
    """Write a check run; its `external_id` says which answer it is."""
    marker = f"<!-- {result.marker} -->\n\n" if result.marker else ""
    return {
        "name": write.name,
        "status": "completed",
        "conclusion": write.conclusion,
        "external_id": result.idempotency_key(sink.name),
        "output": {"title": write.name, "summary": shortened(f"{marker}{text}", _MAX_SUMMARY)},
    }


async def _find_check(client: Client, place: Place, run: dict[str, Any]) -> int | None:
    """Find the newest run of this name, where it is this answer's."""
    listed = await client.ask("GET", f"/commits/{place.sha}/check-runs?check_name={quote(run['name'], safe='')}")
    judge(listed)
    runs = read(listed, _CheckRuns).check_runs
    return next((found.id for found in runs if found.external_id == run["external_id"]), None)
