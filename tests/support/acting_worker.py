"""A worker that kills itself right after a step of a conversation with tools.

    python -m support.acting_worker <Redis' URL> <Claude's URL> <tool's port> <the step>

It takes the one delivery that is queued. Everything but the route table is the worker's own.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from eventroute.models import Models
from eventroute.outbound import OutboundRules
from eventroute.queue import scripts
from eventroute.route_table import HttpTool
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import Argument, ClientCaller, Script
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_worker.attempt import Attempt
from eventroute_worker.claude import Claude
from eventroute_worker.outbound import Answer, Bounds, Outbound, Request
from eventroute_worker.pricing import Prices
from support.queue import lease
from support.runs import FakeRoutes, build_runner, prompt_rule, worker_route


class Step(StrEnum):
    """After which it dies."""

    TURN_SAVED = "turn_saved"
    INTENT_SAVED = "intent_saved"
    CALLED = "called"
    RESULT_SAVED = "result_saved"
    ANSWER_SAVED = "answer_saved"


def acting_routes(port: int, **changes: Any) -> FakeRoutes:
    """Build a route with one tool, which has a side effect unless changed."""
    said: dict[str, Any] = {
        "name": "refund",
        "description": "Refunds a payment.",
        "input_schema": {
            "type": "object",
            "properties": {"id": {"type": "string"}},
            "required": ["id"],
            "additionalProperties": False,
        },
        "method": "POST",
        "url": f"http://127.0.0.1:{port}/refunds",
        "timeout_s": 5.0,
        "max_bytes": 1000,
        "side_effect": True,
    }
    return FakeRoutes(worker_route(prompts=(prompt_rule(tools=(HttpTool(**{**said, **changes}),)),)))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """Calls scripts, and dies after one that takes the step."""

    def __init__(self, call: ClientCaller, step: Step) -> None:
        self._call = call
        self._step = step

    async def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Any:
        found = await self._call(script, key, args)
        if self._step is _taken(script, args):
            _die()
        return found


def _taken(script: Script, args: Sequence[Argument]) -> Step | None:
    if script is scripts.SAVE:
        return Step.ANSWER_SAVED if args[3] == 1 else Step.TURN_SAVED
    if script is scripts.NOTE and str(args[2]).startswith("talk:call:"):
        return Step.INTENT_SAVED if args[3] == b"intent" else Step.RESULT_SAVED
    return None


class DeadlyWay:
    """Asks the outside, and dies when an answer is there."""

    def __init__(self, way: Outbound, step: Step) -> None:
        self._way = way
        self._step = step

    async def send(self, request: Request, bounds: Bounds = Bounds()) -> Answer:
        answer = await self._way.send(request, bounds)
        if self._step is Step.CALLED:
            _die()
        return answer


async def main(url: str, claude_url: str, port: int, step: Step) -> None:
    """Make one attempt, up to the step."""
    key = Secret(DEFAULT_KEY.encode())
    prices = Prices(Models.load())
    async with (
        connect(url) as redis,
        Claude(api_key=key, base_url=claude_url, propagate_trace=False, prices=prices) as claude,
        Outbound(OutboundRules.model_validate({"mode": "dev", "ports": (port,)})) as way,
    ):
        runner = build_runner(
            redis,
            claude=claude,
            routes=acting_routes(port),
            call=Deadly(ClientCaller(redis), step),
            way=DeadlyWay(way, step),
        )
        await runner(Attempt(await lease(redis)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Step(sys.argv[4])))
