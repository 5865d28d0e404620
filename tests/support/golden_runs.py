"""Golden runs: situations of one attempt, and `tests/golden/runs.yaml` with all that it did.

Told are, in their order, the calls to the queue with their arguments, what Claude was asked and when the slot was free;
how the attempt ended, what its span says, and what else was done; of all but the first one, what is not as usual. The
clock stands still, and pauses are the longest ones.
`PYTHONPATH=tests python -m support.golden_runs` writes the file anew; read the difference before you commit it.
"""

import asyncio
import contextlib
import functools
import itertools
import random
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest
import yaml
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from redis.asyncio import Redis

from eventroute.ids import RouteUid, route_path
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.prompt import Prompt
from eventroute.queue import Candidate, Lease, LeaseLost, Retention, Trouble, scripts
from eventroute.route_table import HistoryRule, LogSink, ModelCall, RetentionRule, RetryRule, StreamSink
from eventroute.runtime import tracing
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import Argument, Script
from eventroute.secret import Secret
from eventroute_worker import run
from eventroute_worker.answer import Failed, GivenUp, Passing, Reply, Standing, Usage, encode_answer
from eventroute_worker.attempt import Attempt, End
from eventroute_worker.troubles import Troubles
from support.golden_queue import look, overtaken
from support.queue import GROUP
from support.runs import PATH, STREAM, FakeRoutes, answer, build_runner, prompt_rule, sample_delivery, worker_route
from support.still_queue import StillQueue
from support.valkey import valkey_server

FILE: Final = Path(__file__).parent.parent / "golden" / "runs.yaml"
RECEIPT: Final = f"00-{'a' * 32}-{'b' * 16}-01"
DEADLINE_S: Final = 60
RETRY: Final = RetryRule(attempts=3, deadline_s=DEADLINE_S)
HISTORY: Final = HistoryRule(scope="route", keep=3, inject=2, ttl_s=600)
INSTALLATION: Final = Retention(body=1_000, answer=2_000, record=3_000)
HAIKU: Final = "claude-haiku-5-5"
_TAG: Final = re.compile(r"data-\w+")

Situation = Callable[["Stage"], Awaitable[Any]]
SITUATIONS: Final[dict[str, Situation]] = {}
USUAL: Final = "an answer goes to a stream"


class Stage:
    """A delivery on its way, and who stands around it; a situation changes what it is about."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.queue = StillQueue(redis)
        self.done: list[Any] = []
        self.replies: list[Reply | Exception] = []
        self.routes = FakeRoutes(worker_route(retry=RETRY))
        self.troubles = Troubles()
        self.delivery = sample_delivery()

    def serve(self, **changes: Any) -> None:
        """Serve the route, changed."""
        self.routes = FakeRoutes(worker_route(**{"retry": RETRY, **changes}))

    def about(self, payload: bytes, **changes: Any) -> None:
        """Let the delivery have a payload."""
        self.delivery = sample_delivery(payload=payload, **changes)

    def key_id(self, api_key: Secret | None) -> str:
        """Name a key by what it is."""
        return api_key.reveal().decode() if api_key else "own"

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        """Answer as told, then that all is well."""
        told = {"model": call.name, "key": self.key_id(api_key)}
        for name, text in (("system", prompt.system), ("user", prompt.user)):
            told[name] = _TAG.sub("data-0", text)
        self.done.append({"ask": {**told, "missing": list(prompt.missing_fields)}})
        reply = self.replies.pop(0) if self.replies else answer()
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Any:
        """Call a script and note it, without what each begins with: the delivery and its fence."""
        own: list[Any] = [*(args[2:] if args[0] == self.delivery.id else args)]
        if script is scripts.STREAM:
            own = [*own[:3], dict(zip(own[3::2], own[4::2], strict=True))]
        self.done.append({script.name: self.queue.told(own)})
        return await self.queue(script, key, args)

    async def take(self) -> Lease:
        """Queue the delivery and lease it."""
        admissions, path = self.queue.admissions(), self.delivery.route
        await admissions.admit(path, [Candidate(self.delivery, ())], rate=None, traceparent=RECEIPT)
        return (await look(self.queue)).leases[0]

    async def keep(self, **fields: str | bytes | int) -> None:
        """Let the delivery's record say something."""
        await self.redis.hset(GROUP.delivery(self.delivery.id), mapping=fields)

    async def run(self, lease: Lease | None = None) -> dict[str, Any]:
        """Run an attempt; tells all that it did."""
        lease = lease or await self.take()
        self.done.clear()
        runner = build_runner(
            self.redis, claude=self, routes=self.routes, troubles=self.troubles, call=self, retention=INSTALLATION
        )
        with _traced() as spans:
            end = await _ended(runner(Attempt(lease, lambda: self.done.append("the slot is free"))))
            beneath = trace.get_current_span().get_span_context().span_id
        (span,) = (each for each in spans.get_finished_spans() if each.name == tracing.PROCESS_SPAN)
        return {
            "done": list(self.done),
            "end": self.queue.told(_plain(end)),
            "span": {
                **self.queue.told(_told_span(span)),
                "over what follows": beneath == (span.context and span.context.span_id),
            },
            "refreshed": self.routes.refreshed,
            "standing": sorted(self.troubles._known),
            "mended": sorted(self.troubles._mended),
        }


class _Ids(IdGenerator):
    """Counts."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def generate_span_id(self) -> int:
        return next(self._numbers)

    def generate_trace_id(self) -> int:
        return next(self._numbers)


@contextlib.contextmanager
def _traced() -> Iterator[InMemorySpanExporter]:
    """Trace what happens, while pauses are the longest ones and no time passes for who measures it."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(id_generator=_Ids())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    token = context.attach(context.Context())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
        patch.setattr(random, "uniform", lambda _, most: most)
        patch.setattr(run, "time", SimpleNamespace(monotonic=lambda: 5.0))
        yield exporter
    context.detach(token)


async def _ended(run: Awaitable[End]) -> End | str:
    try:
        return await run
    except (LeaseLost, ValueError) as error:
        return f"raises {type(error).__name__}: {error}"


def _plain(end: End | str) -> Any:
    if isinstance(end, str):
        return end
    fields = {name: value for name, value in asdict(end).items() if value not in ("", None)}
    trouble = fields.get("trouble")
    fields |= {"trouble": msgspec.to_builtins(trouble)} if trouble else {}
    return {type(end).__name__: fields}


def _told_span(span: ReadableSpan) -> dict[str, Any]:
    return {
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        "description": span.status.description,
        "parent": f"{span.parent.span_id:016x}" if span.parent else None,
        "links": [f"{link.context.span_id:016x}" for link in span.links],
        "attributes": dict(sorted((span.attributes or {}).items())),
        "events": [event.name for event in span.events],
    }


async def told(redis: Redis, name: str, usual: Any) -> Any:
    """Tell all that an attempt did in a situation, of the usual things only that they were done."""
    found = await SITUATIONS[name](Stage(redis))
    return found if name == USUAL else _beside(found, usual)


def _beside(found: Any, usual: Any) -> Any:
    """Leave out what is as usual; None is what is not there."""
    known = {name: said for each in usual["done"] if isinstance(each, dict) for name, said in each.items()}
    done = [_step(each, known) if isinstance(each, dict) else each for each in found["done"]]
    rest = ({name: value for name, value in of.items() if name != "done"} for of in (found, usual))
    return {"done": done, **_differing(*rest)}


def _step(step: dict[str, Any], known: dict[str, Any]) -> Any:
    ((name, said),) = step.items()
    if name not in known:
        return step
    return f"{name} as usual" if said == known[name] else {name: _differing(said, known[name])}


def _differing(found: Any, usual: Any) -> Any:
    match found, usual:
        case dict(), dict():
            names = [*found, *(name for name in usual if name not in found)]
            return {
                name: _differing(found.get(name), usual.get(name))
                for name in names
                if found.get(name) != usual.get(name)
            }
        case list(), list() if len(found) == len(usual):
            pairs = zip(found, usual, strict=True)
            return ["as usual" if own == other else _differing(own, other) for own, other in pairs]
        case _:
            return found


@functools.lru_cache
def expected() -> Any:
    """Read what it should do in each situation."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def _when(name: str) -> Callable[[Situation], Situation]:
    def note(situation: Situation) -> Situation:
        assert name not in SITUATIONS
        SITUATIONS[name] = situation
        return situation

    return note


# --- answers ---


@_when(USUAL)
async def _(stage: Stage) -> Any:
    return await stage.run()


@_when("what is answered has an entity, a history and missing fields")
async def _(stage: Stage) -> Any:
    rule = prompt_rule(user="of {{ entity }}: {{ payload.gone }}")
    stage.serve(entity="payload.who", history=HISTORY, prompts=(rule,))
    for number in (1, 2):
        stage.about(b'{"who":"ada"}', id=f"e-{number}", event=f"pull_request.{number}")
        stage.replies = [answer(f"Answer {number}.")]
        await stage.run()
    stage.about(b'{"who":"ada"}')
    stage.replies = [answer("w" * 501)]
    return await stage.run()


@_when("nobody knows what an answer cost")
async def _(stage: Stage) -> Any:
    stage.replies = [answer(cost_usd=None, usage=Usage(input=0, output=0))]
    return await stage.run()


@_when("the installation keeps what the route does not say")
async def _(stage: Stage) -> Any:
    stage.serve(retention=RetentionRule(answer_s=7), sinks=())
    return await stage.run()


@_when("a body is kept for longer than its record")
async def _(stage: Stage) -> Any:
    stage.serve(retention=RetentionRule(payload_s=9, answer_s=7, record_s=8), sinks=())
    return await stage.run()


@_when("an answer is cut")
async def _(stage: Stage) -> Any:
    stage.replies = [answer(outcome=RunOutcome.TRUNCATED, stop_reason="max_tokens")]
    return await stage.run()


@_when("Claude refuses, with words")
async def _(stage: Stage) -> Any:
    stage.serve(entity="payload", history=HISTORY)
    stage.about(b'"ada"')
    stage.replies = [answer("No.", outcome=RunOutcome.REFUSED, stop_reason="refusal")]
    return await stage.run()


@_when("an answer has no text")
async def _(stage: Stage) -> Any:
    stage.serve(entity="payload", history=HISTORY)
    stage.about(b'"ada"')
    stage.replies = [answer("", outcome=RunOutcome.NO_TEXT, reason="empty", stop_reason="tool_use")]
    return await stage.run()


@_when("the route has a key of its own and a second prompt that applies")
async def _(stage: Stage) -> Any:
    opus = ModelCall(name="claude-opus-5-5", max_tokens=9, timeout_s=1)
    rules = (prompt_rule(events=("push",)), prompt_rule(model=opus, system="Judge."))
    stage.serve(api_key=Secret(b"theirs"), prompts=rules)
    stage.troubles.meet(_trouble("theirs", "claude-opus-5-5"))
    stage.troubles.meet(_trouble("own", ""))
    lease = await stage.take()
    await stage.keep(probe="theirs:claude-opus-5-5")
    return await stage.run(lease)


@_when("an entity has a long name and cannot always be told")
async def _(stage: Stage) -> Any:
    stage.serve(entity="payload", history=None, sinks=())
    stage.about(b'"%s"' % (b"x" * 300))
    return await stage.run()


@_when("an entity cannot be told")
async def _(stage: Stage) -> Any:
    stage.serve(entity="payload.who", history=HISTORY, sinks=())
    stage.about(b'{"who":{"a":1}}')
    return await stage.run()


@_when("an attempt was made before, and its answer is there")
async def _(stage: Stage) -> Any:
    stage.serve(entity="payload", history=HISTORY)
    stage.about(b'"ada"')
    lease = await stage.take()
    previous = f"00-{'a' * 32}-{'c' * 16}-01"
    await stage.keep(answer=encode_answer(answer("As before.")), attempts=2, last_traceparent=previous)
    return await stage.run(lease)


@_when("the last one of the attempts to deliver an answer begins")
async def _(stage: Stage) -> Any:
    lease = await stage.take()
    await stage.keep(answer=encode_answer(answer("As before.")), attempts=10)
    return await stage.run(lease)


@_when("no attempt to deliver an answer is left")
async def _(stage: Stage) -> Any:
    lease = await stage.take()
    await stage.keep(answer=encode_answer(answer("As before.")), attempts=11)
    return await stage.run(lease)


@_when("attempts were cut short, and the last one begins")
async def _(stage: Stage) -> Any:
    lease = await stage.take()
    await stage.keep(attempts=2)
    return await stage.run(lease)


@_when("all attempts were cut short")
async def _(stage: Stage) -> Any:
    lease = await stage.take()
    await stage.keep(attempts=3)
    return await stage.run(lease)


# --- sinks ---


def _broken(stage: Stage, *names: str, **changes: Any) -> None:
    sinks = tuple(StreamSink(name=name, stream=f"bad-{name}", max_entries=9) for name in names)
    stage.serve(sinks=(*sinks, STREAM), **changes)


async def _break(stage: Stage, *names: str) -> None:
    for name in names:
        await stage.redis.set(GROUP.stream("team-a", f"bad-{name}"), "no stream")


@_when("two of three sinks fail")
async def _(stage: Stage) -> Any:
    _broken(stage, "one", "two", entity="payload", history=HISTORY)
    stage.about(b'"ada"')
    await _break(stage, "one", "two")
    return await stage.run()


@_when("a sink fails after others have the answer")
async def _(stage: Stage) -> Any:
    _broken(stage, "one")
    await _break(stage, "one")
    lease = await stage.take()
    await stage.keep(answer=encode_answer(answer()), saved=stage.queue.now_ms, waits=2, **{"sink:results": 1})
    return await stage.run(lease)


async def _sink_fails(stage: Stage, **ages_ms: int) -> Any:
    _broken(stage, "one")
    await _break(stage, "one")
    lease = await stage.take()
    await stage.keep(answer=encode_answer(answer()))
    await stage.keep(**{name: stage.queue.now_ms - age_ms for name, age_ms in ages_ms.items()})
    return await stage.run(lease)


@_when("a sink has failed until just before the deadline that counts from its answer")
async def _(stage: Stage) -> Any:
    return await _sink_fails(stage, at=999_000, saved=59_000)


@_when("a sink has failed up to the deadline that counts from its answer")
async def _(stage: Stage) -> Any:
    return await _sink_fails(stage, at=999_000, saved=59_001)


@_when("a sink fails after a replay")
async def _(stage: Stage) -> Any:
    return await _sink_fails(stage, at=999_000, saved=999_000, since=59_000)


@_when("a log is a sink too")
async def _(stage: Stage) -> Any:
    stage.serve(sinks=(LogSink(name="log"),))
    return await stage.run()


# --- no answer ---


def _replied(name: str, *replies: Reply, attempts: int = 0, waits: int = 0, age_ms: int = 0) -> None:
    @_when(name)
    async def _(stage: Stage) -> Any:
        stage.serve(retention=RetentionRule(payload_s=7), entity="payload.who")
        stage.replies = list(replies)
        lease = await stage.take()
        await stage.keep(attempts=attempts, waits=waits, at=stage.queue.now_ms - age_ms)
        return await stage.run(lease)


_replied("Claude gives the delivery up", GivenUp(reason=DeadReason.TOO_LARGE, detail="413"))
_replied("a key has a trouble", Standing(reason=DeadReason.BILLING, detail="402", whole_key=True))
_replied("a model has a trouble", Standing(reason=DeadReason.NOT_FOUND, detail="404", whole_key=False))
_replied("a trouble passes", Passing(detail="529"), waits=3)
_replied("a trouble passes after a while", Passing(detail="429", after_s=20), waits=3)
_replied("a trouble passes just before the deadline", Passing(detail="529"), age_ms=59_000)
_replied("a trouble passes after the deadline", Passing(detail="529"), age_ms=59_001)
_replied("a wait is asked for that passes the deadline", Passing(detail="429", after_s=59.5))
_replied("an attempt fails", Failed(detail="unreadable"))
_replied("a second attempt fails", Failed(detail="unreadable"), attempts=1)
_replied("the last attempt fails", Failed(detail="unreadable"), attempts=2)
_replied("the last attempt is timed out", Failed(detail="no answer", timed_out=True), attempts=2)
_replied("an attempt fails just before the deadline", Failed(detail="unreadable"), attempts=1, age_ms=58_000)
_replied("an attempt fails shortly before the deadline", Failed(detail="unreadable"), attempts=1, age_ms=58_001)
_replied("the deadline is reached", age_ms=60_000)
_replied("the deadline is passed", age_ms=60_001)


@_when("the deadline counts from when the route was released")
async def _(stage: Stage) -> Any:
    lease = await stage.take()
    await stage.keep(at=1)
    await stage.redis.hset(GROUP.route(PATH), "released", stage.queue.now_ms - 60_000)
    return await stage.run(lease)


def _trouble(key_id: str, model: str) -> Trouble:
    return Trouble(reason="billing", detail="402", key_id=key_id, model=model)


def _met(name: str, trouble: Trouble, *, probe: bool = False) -> None:
    @_when(name)
    async def _(stage: Stage) -> Any:
        stage.troubles.meet(trouble)
        lease = await stage.take()
        if probe:
            await stage.keep(probe=trouble.cause)
        return await stage.run(lease)


_met("the key is known to have a trouble", _trouble("own", ""))
_met("the model is known to have a trouble", _trouble("own", HAIKU))
_met("another model is known to have a trouble", _trouble("own", "claude-opus-5-5"))
_met("a probe goes all the same", _trouble("own", HAIKU), probe=True)


@_when("no prompt applies")
async def _(stage: Stage) -> Any:
    rules = (
        prompt_rule(events=("push",)),
        prompt_rule(when="payload.gone == 1"),
        prompt_rule(when="payload.number == 8"),
        prompt_rule(when="payload.gone.too == 1"),
    )
    stage.serve(prompts=rules, retention=RetentionRule(payload_s=7))
    return await stage.run()


@_when("a template fails")
async def _(stage: Stage) -> Any:
    loop = "{% for i in (1..100000) %}{% for j in (1..100000) %}x{% endfor %}{% endfor %}"
    stage.serve(prompts=(prompt_rule(events=("push",)), prompt_rule(user=loop)))
    return await stage.run()


@_when("the delivery is missing")
async def _(stage: Stage) -> Any:
    lease = await stage.take()
    await stage.redis.hdel(GROUP.delivery(lease.delivery), "body")
    return await stage.run(lease)


@_when("the delivery cannot be read")
async def _(stage: Stage) -> Any:
    lease = await stage.take()
    await stage.keep(body="{}")
    return await stage.run(lease)


@_when("the payload cannot be read")
async def _(stage: Stage) -> Any:
    stage.about(b'"\xff"')
    return await stage.run()


@_when("an error is not foreseen")
async def _(stage: Stage) -> Any:
    stage.replies = [ValueError("with a part of the payload")]
    return await stage.run()


@_when("the lease is lost before the attempt begins")
async def _(stage: Stage) -> Any:
    return await stage.run(await overtaken(stage.queue))


# --- routes ---


@_when("the route is not known until the table is read again")
async def _(stage: Stage) -> Any:
    stage.routes = FakeRoutes()
    stage.routes.after_refresh = [worker_route(uid=RouteUid("uid-new"))]
    return await stage.run()


@_when("the route is known in an older generation")
async def _(stage: Stage) -> Any:
    stage.about(b"1", generation=2)
    stage.routes.after_refresh = [worker_route(generation=2, uid=RouteUid("uid-new"))]
    return await stage.run()


@_when("the route is known in a newer generation")
async def _(stage: Stage) -> Any:
    stage.serve(generation=3)
    return await stage.run()


@_when("no table was read yet")
async def _(stage: Stage) -> Any:
    stage.routes = FakeRoutes(version=None)
    return await stage.run()


@_when("the route is not there")
async def _(stage: Stage) -> Any:
    stage.routes = FakeRoutes(worker_route(path=route_path("team-a", "other")))
    return await stage.run()


@_when("the route cannot be served")
async def _(stage: Stage) -> Any:
    stage.routes = FakeRoutes()
    stage.routes.broken.add(PATH)
    return await stage.run()


@_when("the route was deleted lately")
async def _(stage: Stage) -> Any:
    stage.routes = FakeRoutes()
    stage.routes.broken.add(PATH)
    stage.routes.deleted[PATH] = 1
    return await stage.run()


async def _write() -> None:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, valkey_server(Path(folder)) as url:
        for name in SITUATIONS:
            client = connect(url)
            await client.flushall()
            found[name] = await told(client, name, found.get(USUAL))
            await client.aclose()
    text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write())
