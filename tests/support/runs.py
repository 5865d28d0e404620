"""What a run needs, without a route table and without Claude."""

import time
from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

import msgspec
from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId, RoutePath, RouteUid, route_path
from eventroute.models import Models
from eventroute.outcome import RunOutcome
from eventroute.prompt import Plan, Prompt, prepare
from eventroute.queue import Group, Ledger, Retention, Upkeep, Work
from eventroute.route_table import HistoryRule, ModelCall, PromptRule, RetentionRule, RetryRule, StreamSink, WorkerRoute
from eventroute.runtime.scripts import Caller, ClientCaller
from eventroute.runtime.stats import Tally
from eventroute.secret import Secret
from eventroute.throttle import Throttle
from eventroute_worker import outbound
from eventroute_worker.answer import Answer, Reply, Usage
from eventroute_worker.attempt import DEFAULT_RETENTION
from eventroute_worker.finding import Finder
from eventroute_worker.gate import Gate
from eventroute_worker.history import History
from eventroute_worker.pricing import Prices
from eventroute_worker.run import Asks, Runner
from eventroute_worker.sinks import LocalSinks
from eventroute_worker.spending import Spending
from eventroute_worker.tools import Calling
from eventroute_worker.tools import http as tools
from eventroute_worker.troubles import Troubles
from eventroute_worker.turns import Turns

PATH = route_path("team-a", "triage")
STREAM = StreamSink(name="results", stream="results", max_entries=1000)
HISTORY = HistoryRule(scope="route", keep=3, inject=2, ttl_s=600)


def prompt_rule(**changes: Any) -> PromptRule:
    """Build a prompt that answers every event."""
    fields: dict[str, Any] = {
        "events": ("*",),
        "when": None,
        "model": ModelCall(name="claude-haiku-5-5", max_tokens=1024, timeout_s=5),
        "system": "Summarize.",
        "user": None,
    }
    return PromptRule(**{**fields, **changes})


def worker_route(**changes: Any) -> WorkerRoute:
    """Build a route of namespace `team-a` with one stream sink."""
    fields: dict[str, Any] = {
        "uid": RouteUid("uid-triage"),
        "path": PATH,
        "generation": 1,
        "provider": "github",
        "prompts": (prompt_rule(),),
        "entity": None,
        "history": None,
        "retry": RetryRule(attempts=3, deadline_s=3600),
        "retention": RetentionRule(),
        "sinks": (STREAM,),
        "api_key": None,
    }
    return WorkerRoute(**{**fields, **changes})


def sample_delivery(name: str = "d-1", *, payload: bytes = b'{"number":7}', **changes: Any) -> Delivery:
    """Build a delivery of the route."""
    fields: dict[str, Any] = {
        "id": DeliveryId(name),
        "route": PATH,
        "generation": 1,
        "provider": "github",
        "event": "pull_request.opened",
        "provider_id": "p-1",
        "received_ms": time.time_ns() // 1_000_000,
        "payload": msgspec.Raw(payload),
    }
    return Delivery(**{**fields, **changes})


def answer(text: str = "All is well.", **changes: Any) -> Answer:
    """Build an answer of Claude's."""
    fields: dict[str, Any] = {
        "outcome": RunOutcome.SUCCEEDED,
        "text": text,
        "model": "claude-haiku-5-5",
        "stop_reason": "end_turn",
        "message_id": "msg_1",
        "request_id": "req_1",
        "usage": Usage(input=10, output=5),
        "cost_usd": Decimal("0.000035"),
        "answered_ms": 1,
    }
    return Answer(**{**fields, **changes})


class FakeClaude:
    """Gives the replies that it was told to give, then ordinary answers; keeps what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.asked: list[Prompt] = []
        self.keys: list[Secret | None] = []
        self.models: list[str] = []
        self._replies = list(replies)
        self.own = "own"
        """The key of the installation, where a route has none."""

    def key_id(self, api_key: Secret | None) -> str:
        return api_key.reveal().decode() if api_key else self.own

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        self.asked.append(prompt)
        self.models.append(call.name)
        self.keys.append(api_key)
        return self._replies.pop(0) if self._replies else answer(f"Answer {len(self.asked)}.")


class Walled:
    """A way out that leads nowhere."""

    async def send(self, request: outbound.Request, bounds: outbound.Bounds = outbound.Bounds()) -> outbound.Answer:  # noqa: ARG002
        raise outbound.NoAnswer("no way out", may_have_arrived=False)


class FakeRoutes:
    """A route table that gets its next state when it is refreshed."""

    def __init__(self, *routes: WorkerRoute, version: int | None = 1) -> None:
        self.version = version
        self.refreshed = 0
        self.after_refresh: Iterable[WorkerRoute] | None = None
        self.broken: set[RoutePath] = set()
        self.deleted: dict[RoutePath, int] = {}
        self._plans = {route.path: prepare(route) for route in routes}

    def get(self, path: RoutePath) -> Plan | None:
        return self._plans.get(path)

    def put(self, plan: Plan) -> None:
        self._plans[plan.route.path] = plan

    def all(self) -> Collection[Plan]:
        return self._plans.values()

    def is_broken(self, path: RoutePath) -> bool:
        return path in self.broken

    def deleted_since(self, path: RoutePath) -> int | None:
        return self.deleted.get(path)

    async def refresh(self) -> None:
        self.refreshed += 1
        if self.after_refresh is not None:
            self._plans = {route.path: prepare(route) for route in self.after_refresh}


def build_runner(  # noqa: PLR0913 - collaborators, all by name
    redis: Redis,
    *,
    claude: Asks | None = None,
    routes: FakeRoutes | None = None,
    troubles: Troubles | None = None,
    call: Caller | None = None,
    retention: Retention = DEFAULT_RETENTION,
    gate: Gate | None = None,
    spending: Spending | None = None,
    tally: Tally | None = None,
    way: tools.Asks | None = None,
) -> Runner:
    """Build a runner on a real Redis; `call` is how it calls scripts."""
    call = call or ClientCaller(redis)
    work = Work(call)
    models = Models.load()
    return Runner(
        retention=retention,
        gate=gate,
        work=work,
        finder=Finder(routes or FakeRoutes(worker_route()), Upkeep(redis, call)),
        claude=claude or FakeClaude(),
        calling=Calling(way or Walled()),
        history=History(redis, work),
        sinks=LocalSinks(work),
        troubles=troubles or Troubles(),
        turns=Turns(work, Throttle(call), groups=[Group(0)]),
        models=models,
        spending=spending or Spending(Ledger(call), Prices(models)),
        tally=tally or Tally(),
    )


async def results(redis: Redis) -> list[dict[str, str]]:
    """Read the entries of the route's stream."""
    entries = await redis.xrange(Group(0).stream("team-a", "results"))
    return [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in entries]
