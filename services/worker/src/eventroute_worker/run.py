"""A run: what happens to a delivery from the moment a worker takes it up to its outcome.

    route → begin → match → answer (saved: from an earlier attempt, or history → render → place → Claude → save,
            and as long as Claude wants tools: calls, each saved → place → Claude → save)
          → sinks, each marked when done → history → outcome

Whatever ends a run early raises `Ended` with how; a crash anywhere resumes after the last thing that was saved. Whose
fault an end is decides what it costs: the delivery's own is a dead letter or an attempt, a passing trouble is waited
for until the deadline, a standing one of key or model parks the delivery, and of the route holds the route. Where the
throttle has no place for a call, or the API says that there are too many, the delivery waits for its turn at no cost.
Knows nothing of leases but that they may be lost, and holds no state between attempts.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, NoReturn, Protocol

import msgspec
import structlog
from opentelemetry.trace import Span, SpanKind

from eventroute.delivery import Delivery, decode_delivery
from eventroute.errors import Refused
from eventroute.expression import EvaluationError, Text
from eventroute.hops import markers
from eventroute.match import Match
from eventroute.models import Models
from eventroute.outcome import DeadReason, LeftOut, RunOutcome
from eventroute.prompt import Event, HistoryEntry, Plan, Prompt
from eventroute.queue import NOTHING_SAID, Begun, Retention, Trouble, Work
from eventroute.route_table import LocalSink, ModelCall, RetentionRule, Sink
from eventroute.runtime import tracing
from eventroute.runtime.stats import Tally
from eventroute.secret import Secret
from eventroute.template import RenderFailed
from eventroute.throttle import bucket_name
from eventroute_worker import metrics
from eventroute_worker.answer import (
    Answer,
    Failed,
    GivenUp,
    Passing,
    Reply,
    Silence,
    Standing,
    added,
    as_variable,
    decode_answer,
    encode_answer,
    read_by,
)
from eventroute_worker.attempt import (
    DEFAULT_RETENTION,
    Attempt,
    End,
    Ended,
    Later,
    Parked,
    Settled,
    Superseded,
    check_attempts,
    dead,
)
from eventroute_worker.attempt_span import begin, under_span
from eventroute_worker.backoff import pause_s
from eventroute_worker.finding import Finder
from eventroute_worker.gate import Gate
from eventroute_worker.history import History
from eventroute_worker.next_call import NextCall, next_call
from eventroute_worker.patience import patiently
from eventroute_worker.record import about
from eventroute_worker.sinks import LocalSinks, Result, SinkFailed, split
from eventroute_worker.spending import Bill, NoRoom, Spending
from eventroute_worker.talk import Talk, TooLarge
from eventroute_worker.tools import Calling, Scene, Unknown
from eventroute_worker.troubles import Troubles
from eventroute_worker.turns import Turns

_LARGE_BYTES: Final = 65_536
"""Of a run's events: what is written from them may take longer than 5 ms."""


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_log = structlog.get_logger()


class Asks(Protocol):
    """Claude, or what stands in for it."""

    def key_id(self, api_key: Secret | None) -> str:
        """Name a key without telling it."""
        ...

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        """Ask once."""
        ...


class _Work(NamedTuple):
    """One attempt's view of its delivery."""

    attempt: Attempt
    begun: Begun
    delivery: Delivery
    plan: Plan
    event: Event
    entity: Text
    started: float
    """When the attempt began, on the monotonic clock."""
    paid: Answer | None
    """The last answer that was saved, final or not; its figures are those of all calls."""
    talk: Talk
    """What was said and done with tools; empty for most."""

    def is_over(self, since_ms: int, *, after_s: float = 0) -> bool:
        """Tell whether the route's deadline has passed, or will have in a while; by Redis' clock."""
        age_s = (self.begun.now_ms - since_ms) / 1000 + time.monotonic() - self.started
        return age_s + after_s > self.plan.route.retry.deadline_s


class Runner:
    """Handles one attempt at a time; any number of them concurrently."""

    def __init__(  # noqa: PLR0913 - collaborators, all by name
        self,
        *,
        work: Work,
        finder: Finder,
        claude: Asks,
        calling: Calling,
        history: History,
        sinks: LocalSinks,
        troubles: Troubles,
        turns: Turns,
        models: Models,
        spending: Spending,
        tally: Tally,
        retention: Retention = DEFAULT_RETENTION,
        gate: Gate | None = None,
    ) -> None:
        """Take the collaborators.

        models     what is known of models: those of one pool share the throttle
        tally      counts what finds a prompt, and what does not
        retention  how long what has ended is kept where a route does not say so
        gate       knows of stops, the time of which counts against no deadline; None = there are none
        """
        self._queue = work
        self._finder = finder
        self._claude = claude
        self._calling = calling
        self._history = history
        self._sinks = sinks
        self._troubles = troubles
        self._turns = turns
        self._models = models
        self._spending = spending
        self._tally = tally
        self._retention = retention
        self._gate = gate or Gate(is_open=True)

    async def __call__(self, attempt: Attempt) -> End:
        """Run one attempt under its own span."""
        return await under_span(
            attempt,
            self._with_place,
            name=tracing.PROCESS_SPAN,
            kind=SpanKind.CONSUMER,
            attributes=tracing.messaging("process"),
            counter=metrics.ATTEMPTS,
        )

    async def _with_place(self, attempt: Attempt, span: Span) -> Settled:
        async with self._turns.attempt(attempt.lease):
            return await self._run(attempt, span)

    async def _run(self, attempt: Attempt, span: Span) -> Settled:
        path = attempt.lease.path
        structlog.contextvars.bind_contextvars(route=path)  # of this attempt's task, up to its last line
        span.set_attribute(tracing.ROUTE, path)
        plan = await self._finder.find(attempt.lease)
        begun = await begin(self._queue, attempt, span)
        begun = begun._replace(released_ms=max(begun.released_ms, self._gate.started_ms))
        started = time.monotonic()
        check_attempts(begun, plan)  # before the payload, which may be why attempts are cut short, is looked at
        delivery = _read_delivery(attempt, begun)
        span.set_attributes(
            {tracing.PROVIDER: delivery.provider, tracing.EVENT: delivery.event, tracing.HOPS: delivery.hops}
        )
        if plan.route.generation < delivery.generation:
            plan = await self._finder.find(attempt.lease, anew=True)
        event = _read_event(delivery, plan)
        entity = plan.entity.text(event.variables) if plan.entity else Text(None)

        def now_ms() -> int:
            return begun.now_ms + int((time.monotonic() - started) * 1000)

        work = _Work(
            attempt, begun, delivery, plan, event, entity, started, _saved(begun), Talk.saved_in(begun.fields, now_ms)
        )
        if begun.superseded_by:
            self._end(work, _superseded(begun.superseded_by))
        answer = await self._answer(work)
        attempt.free_slot()
        if answer.text and answer.outcome is not RunOutcome.REFUSED:
            await self._send(work, answer, span)
            if entity.value and plan.route.history:
                await self._history.remember(
                    plan.route.history, delivery, entity.value, answer, lease=attempt.lease, seq=begun.seq
                )
        end = Settled(
            outcome=answer.outcome,
            reason=answer.reason,
            detail=_remark(answer),
            retention=self._kept(plan.route.retention),
        )
        return _with(end, work, answer)

    async def _answer(self, work: _Work) -> Answer:
        """Get an answer that is final; each is saved before anything is done with it."""
        answer, position = work.paid, self._match(work)
        if answer is not None and position is not None:
            answer = read_by(work.plan.schemas[position], answer)  # by the schema of now
        while position is not None and (wanted := self._next_call(work, position, answer)):
            work = work._replace(paid=answer)
            try:
                answer = await self._ask(work, position, wanted) or answer
            except Superseded as newer:
                self._end(work, _superseded(newer.by))
        if answer is None:
            raise TypeError("no prompt, and no answer")  # `_match` ends such a run
        if answer.violation:
            self._end(work._replace(paid=answer), dead(DeadReason.INVALID_OUTPUT, answer.violation))
        return answer

    def _match(self, work: _Work) -> int | None:
        """Find the prompt; what was answered already needs none."""
        match = work.plan.match(work.event)
        route = work.plan.route
        generation = max(route.generation, work.delivery.generation)  # a wrong edit leaves the prompts of before
        if match.position is None and (work.paid is None or work.paid.goes_on):
            cause = LeftOut.WHEN if match.unmet or match.errors else LeftOut.NO_PROMPT
            events = (*work.delivery.earlier, work.delivery)
            self._tally.add_left(route.uid, cause, (each.event for each in events), generation=generation)
            self._end(work, Settled(outcome=RunOutcome.DISCARDED, detail=_no_prompt(match)))
        self._tally.add_asked(route.uid, generation=generation)
        return match.position

    def _next_call(self, work: _Work, position: int, answer: Answer | None) -> NextCall | None:
        key_id = self._claude.key_id(work.plan.route.api_key)
        model = work.plan.route.prompts[position].model
        return next_call(model, answer, is_gone=lambda name: self._troubles.is_gone(key_id, name))

    async def _ask(self, work: _Work, position: int, wanted: NextCall) -> Answer | None:
        """Get an answer and save it; None = there is none of this model, and another one is to be asked."""
        route, begun, call = work.plan.route, work.begun, wanted.call
        if work.is_over(begun.since_ms):
            self._end(work, dead(DeadReason.DEADLINE, f"no answer within {route.retry.deadline_s} s"))
        if work.paid and work.paid.goes_on:
            await self._act(work, position)
        key_id = self._claude.key_id(route.api_key)  # of the key that is asked with: it may be replaced meanwhile
        trouble = self._troubles.standing(key_id, call.name, route.budgets)
        if trouble and (trouble.cause != begun.probes or self._troubles.is_retired(trouble.model)):
            raise Ended(Parked(trouble=trouble, has_asked=False))
        prompt = work.talk.go_on(await self._render(work, position), route.prompts[position].limits, work.paid)
        if wanted.again:
            prompt = prompt.again(wanted.again.text, wanted.again.violation)
        lease, bucket = work.attempt.lease, bucket_name(key_id, self._models.pool(call.name))
        async with (
            self._turns.place(lease, bucket, call, prompt) as place,
            await self._reserve(work, call, prompt, key_id=key_id) as bill,
        ):
            newer = work.attempt.newer
            newer.check()  # a call that is not begun costs nothing
            bill.begin()
            reply = await place.ask(
                lambda: newer.cuts_off(lambda: self._claude.ask(call, prompt, api_key=route.api_key))
            )
            bill.take(reply)
            place.check(reply)
            if (own := self._judge(work, call, reply, key_id=key_id)) is None:
                return None
            paid = wanted.note(added(work.paid, own), missing_fields=prompt.missing_fields)
            answer = read_by(work.plan.schemas[position], msgspec.structs.replace(paid, calls=work.talk.calls()))
            is_final = self._next_call(work, position, answer) is None
            talk = self._take(work, prompt, answer) if answer.goes_on else NOTHING_SAID
            by = await patiently(
                lambda: self._queue.save(work.attempt.lease, encode_answer(answer), is_final=is_final, talk=talk)
            )
        if by:
            self._end(work._replace(paid=answer), _superseded(by))
        return answer

    def _take(self, work: _Work, prompt: Prompt, turn: Answer) -> Mapping[str, bytes]:
        """Take a turn that wants tools; returns what is to be saved of it."""
        try:
            return {**work.talk.begin(prompt), **work.talk.take(turn.said)}
        except TooLarge as error:
            self._end(work._replace(paid=turn), dead(DeadReason.TOOL_LIMIT, str(error)))

    async def _act(self, work: _Work, position: int) -> None:
        """Make the calls that Claude's last turn wants, but for those that are made already."""
        work.attempt.newer.check()
        lease, talk = work.attempt.lease, work.talk

        async def save(fields: Mapping[str, bytes]) -> None:
            await patiently(lambda: self._queue.note(lease, **fields))

        room, full = talk.room(work.plan.route.prompts[position].limits, work.paid)
        tools = work.plan.tools_for(position, work.event)
        try:
            await self._calling.run(Scene(lease.delivery, tools, talk, save, room, full))
        except Unknown as error:
            self._end(_with_calls(work), dead(DeadReason.TOOL_UNKNOWN, str(error)))
        except TooLarge as error:
            self._end(_with_calls(work), dead(DeadReason.TOOL_LIMIT, str(error)))

    async def _reserve(self, work: _Work, call: ModelCall, prompt: Prompt, *, key_id: str) -> Bill:
        """Reserve what a call may cost, right before it; without room the delivery waits, or is a dead letter."""
        lease, budgets = work.attempt.lease, work.plan.route.budgets
        if not budgets:
            await self._queue.asking(lease)
            return Bill(self._spending, lease)
        found = await self._spending.reserve(lease, budgets, call, prompt)
        if isinstance(found, Standing):
            self._park(found, call, key_id=key_id)
        if isinstance(found, NoRoom):
            if found.is_hopeless or found.rule.on_exceeded == "reject":
                self._end(work, dead(DeadReason.BUDGET, found.detail))
            self._troubles.meet(found.trouble)
            raise Ended(Parked(trouble=found.trouble, has_asked=True, need=found.need))
        return found

    def _judge(self, work: _Work, call: ModelCall, reply: Reply, *, key_id: str) -> Answer | None:
        """Take the answer, or end the attempt by whose fault there is none; None = the fallback is to be asked."""
        match reply:
            case GivenUp():
                work = work._replace(paid=added(work.paid, reply.paid) if reply.paid else work.paid)
                self._end(work, dead(reply.reason, reply.detail))
            case Standing(reason=DeadReason.NOT_FOUND, whole_key=False) if call.fallback:
                self._troubles.miss(key_id, call.name)
                return None
            case Standing():
                self._park(reply, call, key_id=key_id)
            case Failed():
                self._fail(work, reply)
            case Passing():
                since_ms = work.begun.since_ms
                self._wait(work, reply.detail, after_s=reply.after_s, since_ms=since_ms, reason=DeadReason.DEADLINE)
            case Answer():
                self._troubles.answered(key_id, call.name)
        return reply

    def _park(self, met: Standing, call: ModelCall, *, key_id: str) -> NoReturn:
        """Let the delivery wait until the key, or the model at this key, is mended."""
        trouble = Trouble(
            reason=met.reason,
            detail=met.detail,
            key_id=key_id,
            model="" if met.whole_key else call.name,
        )
        self._troubles.meet(trouble)
        raise Ended(Parked(trouble=trouble, has_asked=True))

    async def _render(self, work: _Work, position: int) -> Prompt:
        route, entity = work.plan.route, work.entity.value
        told = (
            await self._history.recall(
                route.history, work.delivery, entity, lease=work.attempt.lease, seq=work.begun.seq
            )
            if entity and route.history
            else []
        )
        try:
            return await self._build(work, position, told)
        except RenderFailed as error:
            self._end(work, dead(DeadReason.RENDER, f"prompts[{position}].user: {error}"))

    @staticmethod
    async def _build(work: _Work, position: int, told: Sequence[HistoryEntry]) -> Prompt:
        """Write the texts; of a large event beside the loop, which renews leases meanwhile."""
        build = partial(work.plan.build_prompt, position, work.event, entity=work.entity.value, history=told)
        sizes = (len(bytes(each.payload)) for each in (work.delivery, *work.delivery.earlier))
        return await asyncio.to_thread(build) if sum(sizes) > _LARGE_BYTES else build()

    async def _send(self, work: _Work, answer: Answer, span: Span) -> None:
        """Give the answer to each sink that does not have it yet; one that fails does not keep it from the others."""
        missing = [sink for sink in self._wanting(work, answer) if sink.name not in work.begun.sinks_done]
        local, remote = split(missing)
        if remote:
            told = encode_answer(answer)  # as the schema of now reads it, which may not be as it was saved
            await self._queue.hand_over(work.attempt.lease, told, [sink.name for sink in remote])
            work.attempt.has_more()
        hops = work.delivery.hops + 1
        marker = markers(work.plan.route.marker_key).write(hops)
        result = Result(work.delivery, answer, tracing.trace_id(span), work.attempt.lease, hops=hops, marker=marker)
        failures = [said for sink in local if (said := await self._failure(sink, result))]
        if failures:
            # A dead letter that runs again with its answer has the whole deadline once more.
            since_ms = max(work.begun.saved_ms or work.begun.now_ms, work.begun.since_ms)
            self._wait(work, "; ".join(failures), since_ms=since_ms, reason=DeadReason.SINK)

    def _wanting(self, work: _Work, answer: Answer) -> Sequence[Sink]:
        """Choose the sinks that are to have this answer; what a condition cannot judge is a dead letter."""
        variables = {**work.event.variables, "answer": as_variable(answer), "entity": work.entity.value or ""}
        left_out: set[str] = set()
        for name, condition in work.plan.conditions.items():
            holds, error = condition.test(variables)
            if error and error is not EvaluationError.MISSING_FIELD:
                self._end(work._replace(paid=answer), dead(DeadReason.SINK, f"sink {name}: when: {error}"))
            if not holds:
                left_out.add(name)
        return [sink for sink in work.plan.route.sinks if sink.name not in left_out]

    async def _failure(self, sink: LocalSink, result: Result) -> str:
        try:
            await self._sinks.send(sink, result)
        except SinkFailed as failure:
            return f"sink {sink.name}: {failure}"
        return ""

    def _fail(self, work: _Work, reply: Failed) -> NoReturn:
        """Count an attempt that failed by the delivery's own doing, and try again while the route has attempts left."""
        attempts, allowed = work.begun.attempts, work.plan.route.retry.attempts
        if attempts >= allowed:
            reason = DeadReason.TIMEOUT if reply.timed_out else DeadReason.ATTEMPTS
            self._end(work, dead(reason, f"attempt {attempts}: {reply.detail}"))
        pause = pause_s(attempts)
        if work.is_over(work.begun.since_ms, after_s=pause):
            self._end(work, dead(DeadReason.DEADLINE, f"the deadline comes before the next attempt: {reply.detail}"))
        raise Ended(Later(delay_s=pause, detail=reply.detail))

    def _wait(
        self, work: _Work, detail: str, *, since_ms: int, reason: DeadReason, after_s: float | None = None
    ) -> NoReturn:
        """Wait for a passing trouble to pass, at no cost but time, until the route's deadline."""
        pause = pause_s(work.begun.waits + 1, after_s=after_s)
        if work.is_over(since_ms, after_s=pause):
            self._end(work, dead(reason, f"the deadline comes before the next attempt: {detail}"))
        raise Ended(Later(delay_s=pause, counts=False, detail=detail))

    def _end(self, work: _Work, end: Settled) -> NoReturn:
        raise Ended(_with(replace(end, retention=self._kept(work.plan.route.retention)), work))

    def _kept(self, rule: RetentionRule) -> Retention:
        """Take what the route says of retention, and the installation's word where it says nothing."""
        body, answer, record = (
            default if own is None else own * 1000
            for own, default in zip((rule.payload_s, rule.answer_s, rule.record_s), self._retention, strict=True)
        )
        return Retention(body, max(body, answer), max(body, answer, record))


def _read_delivery(attempt: Attempt, begun: Begun) -> Delivery:
    if begun.body is None:
        raise Ended(dead(DeadReason.DECODE, "the delivery is missing"))
    try:
        return decode_delivery(begun.body, id=attempt.delivery, route=attempt.lease.path, received_ms=begun.accepted_ms)
    except _UNREADABLE as error:
        raise Ended(dead(DeadReason.DECODE, f"the delivery is unreadable: {type(error).__name__}")) from error


def _saved(begun: Begun) -> Answer | None:
    return None if begun.answer is None else decode_answer(begun.answer)


def _read_event(delivery: Delivery, plan: Plan) -> Event:
    try:
        return Event(delivery)
    except Refused as error:
        end = dead(DeadReason.DECODE, str(error))
        raise Ended(replace(end, fields=about(delivery), route=plan.route.uid)) from error


def _with(end: Settled, work: _Work, answer: Answer | None = None) -> Settled:
    """Say what the run was about, for as long as its record outlives the delivery."""
    fields = about(work.delivery, work.entity, answer or work.paid)
    return replace(end, fields=fields, route=work.plan.route.uid)


def _with_calls(work: _Work) -> _Work:
    """Tell of the calls of a turn that comes to nothing."""
    return work._replace(paid=work.paid and msgspec.structs.replace(work.paid, calls=work.talk.calls()))


def _superseded(by: str) -> Settled:
    return Settled(outcome=RunOutcome.SUPERSEDED, detail=f"by {by}")


def _no_prompt(match: Match) -> str:
    """Say why no prompt applies: none is for the event, or the conditions of those that are did not hold or failed."""
    failed = {position: f"prompts[{position}].when: {error}" for position, error in match.errors}
    unmet = {position: f"prompts[{position}].when is false" for position in match.unmet}
    said = [text for _, text in sorted({**failed, **unmet}.items())]
    return "; ".join(["no_prompt", *said])


def _remark(answer: Answer) -> str:
    stood_in = f"{answer.instead_of}: {answer.because}; {answer.model} was asked instead" if answer.because else ""
    return "; ".join(filter(None, (stood_in, _stopped(answer))))


def _stopped(answer: Answer) -> str:
    match answer.outcome:
        case RunOutcome.SUCCEEDED:
            return ""
        case RunOutcome.NO_TEXT if answer.reason == Silence.THINKING_ONLY:
            return (
                f"the answer holds no text: thinking took all {answer.usage.output} tokens of it ({answer.stop_reason})"
            )
        case RunOutcome.NO_TEXT:
            return f"the answer holds no text (stop reason {answer.stop_reason})"
        case _:
            return f"stop reason {answer.stop_reason}"
