"""Workers that kill themselves right after a step of an answer's way to a sink.

    python -m support.doomed_worker

For each line of its input, a `Doom` as JSON, it forks a worker, which takes what is queued until it dies; it says the
worker's process id, and then by which signal it ended. Everything but Claude and the route table is the worker's own.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from psycopg.sql import Composed

from eventroute.ids import RoutePath
from eventroute.outbound import OutboundRules
from eventroute.queue import Work, scripts
from eventroute.route_table import WORKER
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import Argument, ClientCaller, Script
from eventroute.runtime.tables import read_entry
from eventroute.sealed import SealKey
from eventroute.secret import Secret
from eventroute_worker.outbound import Answer, Bounds, Outbound, Request
from eventroute_worker.sinks.databases import Databases
from support.runs import FakeRoutes
from support.sending import build_handler, make_attempts


class Step(StrEnum):
    """After which it dies."""

    HANDED_OVER = "handed_over"
    TAKEN_UP = "taken_up"
    SENT = "sent"
    """The destination has it and has not said so: whoever stands before it kills the worker."""
    HEARD = "heard"
    MARKED = "marked"
    """It is remembered where the message is."""
    SETTLED = "settled"


class Doom(msgspec.Struct, frozen=True):
    """A worker's life."""

    redis: str
    table_key: str
    paths: Sequence[RoutePath]
    slack: str
    step: Step


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DoomedCaller:
    """Calls scripts, and dies after one that takes the step, or while one that hands over to a route is under way."""

    def __init__(self, call: ClientCaller, step: Step) -> None:
        self._call = call
        self._step = step

    async def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Any:
        if script is scripts.ADMIT and self._step is Step.SENT:
            self._under_way = asyncio.ensure_future(self._call(script, key, args))
            await asyncio.sleep(0.05)  # Redis has it by then, and if not, so much the better
            _die()
        found = await self._call(script, key, args)
        if self._step is _taken(script, args):
            _die()
        return found


def _taken(script: Script, args: Sequence[Argument]) -> Step | None:
    path = {scripts.BEGIN: 3, scripts.SETTLE: 2}.get(script)
    is_sending = path is not None and str(args[path]).count("/") > 1
    if script is scripts.PLACE:
        return Step.MARKED if args[3] else None
    return {
        scripts.HAND_OVER: Step.HANDED_OVER,
        scripts.BEGIN: Step.TAKEN_UP if is_sending else None,
        scripts.ADMIT: Step.HEARD,
        scripts.SETTLE: Step.SETTLED if is_sending else None,
    }.get(script)


class DoomedWay(Outbound):
    """Asks the outside, and dies when the answer to what writes is there."""

    dies = False

    async def send(self, request: Request, bounds: Bounds = Bounds()) -> Answer:
        answer = await super().send(request, bounds)
        if self.dies and request.method == "POST" and not request.url.endswith("/graphql"):
            _die()
        return answer


class DoomedDatabases(Databases):
    """Runs statements, and dies when one is done."""

    dies = False

    async def run(self, url: Secret, statement: Composed, values: Mapping[str, Any]) -> Sequence[Any]:
        rows = await super().run(url, statement, values)
        if self.dies:
            _die()
        return rows


async def live(doom: Doom) -> None:
    """Work until the step."""
    key = SealKey.from_text(doom.table_key)
    async with (
        connect(doom.redis) as redis,
        DoomedWay(OutboundRules(mode="dev")) as way,
        DoomedDatabases(way) as databases,
    ):
        way.dies = databases.dies = doom.step is Step.HEARD
        found = [await read_entry(redis, WORKER, path, key) for path in doom.paths]
        call = DoomedCaller(ClientCaller(redis), doom.step)
        routes = FakeRoutes(*(entry for entry in found if entry))
        handler = build_handler(redis, routes, way, call=call, databases=databases, slack=doom.slack)
        while await make_attempts(Work(call), handler):
            pass


def main() -> None:
    """Fork a worker for each line."""
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # where workers write their logs
    for line in sys.stdin.buffer:
        doom = msgspec.json.decode(line, type=Doom)
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(live(doom))
            finally:
                os._exit(1)
        print(pid, file=told)
        _, status = os.waitpid(pid, 0)
        print(os.WTERMSIG(status), file=told)


if __name__ == "__main__":
    main()
