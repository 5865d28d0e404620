"""The calls of one turn: each is judged, made once, and its result saved; some of them beside each other.

    known and allowed for this event? → arguments fit? → room within the limits? → approved, if people have to?
    → intent saved → call → result saved

What is refused is a result too, which says why, so that Claude can do better. A call that was cut short is made again,
unless it may have changed something already: such a call has an intent.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from msgspec.structs import replace
from opentelemetry.trace import Span, SpanKind, StatusCode

from eventroute.answer_schema import DoesNotFit
from eventroute.delivery import Delivery
from eventroute.route_table import HttpTool, RouteTool
from eventroute.runtime import tracing
from eventroute.talk import Ask, CallOutcome, CallRecord, CallResult, ToolUse, Word, arguments_hash
from eventroute.tool import Tool, kind_of
from eventroute_worker import metrics
from eventroute_worker.chain import Chain
from eventroute_worker.talk import Talk
from eventroute_worker.tools.http import Asks, HttpKind
from eventroute_worker.tools.kinds import ArgumentsRefused, Call, Heard, Kind, Ready
from eventroute_worker.tools.route import RouteKind

_AT_ONCE: Final = 4  # calls of one turn; arbitrary
_WHY: Final = 200  # characters of why a call failed

_UNKNOWN: Final = (
    "It is not known whether this call has happened: it was sent, and no answer came. Do not make it again unless you "
    "can see that it has not; say in your answer that it is not known."
)


_DRY_RUN: Final = "This is a dry run: nothing was sent, and nothing has changed. It would be:\n"


class Unknown(Exception):
    """A call may have happened, and the manifest wants people to look."""


class Notes(Protocol):
    """Where steps are saved."""

    async def __call__(self, fields: Mapping[str, bytes]) -> None:
        """Save; raises when the delivery is ours no more."""
        ...


@dataclass(frozen=True)
class Scene:
    """Where calls are made."""

    delivery: Delivery
    tools: Sequence[Tool]
    """Those that the event has."""
    talk: Talk
    save: Notes
    room: int
    """How many calls may be made."""
    full: str
    """What keeps others from it."""
    marker: str = ""
    """What is to be written with what calls write, against loops."""
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))


class Calling:
    """Makes calls."""

    def __init__(self, way: Asks, chain: Chain | None = None) -> None:
        """Take the way out, and the one from route to route; None = nothing is handed over."""
        self._kinds: Mapping[type, Kind] = {HttpTool: HttpKind(way), RouteTool: RouteKind(chain)}

    async def run(self, scene: Scene) -> Mapping[str, Ask]:
        """Make the calls that have no result yet; raises `Unknown`, `TooLarge`, and what saving raises.

        returns  what people are to be asked, by the ids of the calls that wait for it
        """
        missing = scene.talk.missing()
        calls = [self._call(scene, use, has_room=number < scene.room) for number, use in enumerate(missing)]
        ended = await asyncio.gather(*calls, return_exceptions=True)  # one that fails cuts no other one off
        asks: dict[str, Ask] = {}
        for use, end in zip(missing, ended, strict=True):
            if isinstance(end, BaseException):
                raise end
            if end is not None:
                asks[use.id] = end
        return asks

    async def _call(self, scene: Scene, use: ToolUse, *, has_room: bool) -> Ask | None:
        tool = next((tool for tool in scene.tools if tool.rule.name == use.name), None)
        async with scene.at_once:
            with tracing.tracer().start_as_current_span(
                f"execute_tool {tool.rule.name if tool else 'unknown'}",  # a name that is not ours may say anything
                kind=SpanKind.CLIENT,
                attributes={
                    tracing.GENAI_OPERATION: "execute_tool",
                    tracing.GENAI_TOOL_NAME: tool.rule.name if tool else "unknown",
                    tracing.GENAI_TOOL_CALL: use.id,
                },
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                result = await self._result(scene, use, tool, span, has_room=has_room)
                if isinstance(result, Ask):
                    span.set_attribute(tracing.OUTCOME, "unapproved")
                    return result
                span.set_attribute(tracing.OUTCOME, result.record.outcome)
                if result.is_error:
                    span.set_status(StatusCode.ERROR)
        metrics.TOOL_CALLS.labels(kind_of(tool.rule) if tool else "none", result.record.outcome).inc()
        await scene.save(scene.talk.end(use, result))
        return None

    async def _result(
        self, scene: Scene, use: ToolUse, tool: Tool | None, span: Span, *, has_room: bool
    ) -> CallResult | Ask:
        if tool is None:
            known = ", ".join(each.rule.name for each in scene.tools)
            return _refused(use, f"there is no tool of this name; there are: {known or 'none'}")
        if scene.talk.is_intended(use):
            return _unknown(use, tool)
        try:
            ready = self._kinds[type(tool.rule)].prepare(
                Call(
                    tool=tool,
                    arguments=tool.read(use.input),
                    key=f"{scene.delivery.id}:{use.id}",
                    parent=scene.delivery,
                    marker=scene.marker,
                    traceparent=tracing.traceparent(span),
                )
            )
        except DoesNotFit as error:
            return _refused(use, f"the arguments do not fit the tool's input schema: {error}")
        except ArgumentsRefused as error:
            return _refused(use, f"the arguments do not fit: {error}")
        if not has_room:
            return _refused(use, scene.full)
        if tool.rule.dry_run:
            return CallResult(
                text=_DRY_RUN + ready.describe(), is_error=False, record=_record(use, CallOutcome.DRY_RUN)
            )
        if not tool.rule.approval_s:
            return await self._make(scene, use, tool, ready)
        ask = scene.talk.ask(use, tool.rule.name, ready.describe(), tool.rule.approval_s)
        word = scene.talk.word(use, ask)
        if word is None and not scene.talk.is_over(ask):
            return ask
        if word is None or not word.approved:
            return _declined(use, word)
        result = await self._make(scene, use, tool, ready)
        return replace(result, record=replace(result.record, by=word.by, note=word.note))

    async def _make(self, scene: Scene, use: ToolUse, tool: Tool, ready: Ready) -> CallResult:
        if tool.may_be_unknown:
            await scene.save(scene.talk.intend(use))
        started = time.monotonic()
        heard = await ready.make()
        duration_ms = int((time.monotonic() - started) * 1000)
        if heard.may_have_happened and tool.may_be_unknown:
            return _unknown(use, tool, duration_ms, heard.why)
        return CallResult(
            text=heard.text,
            is_error=not heard.is_success,
            record=_record(
                use,
                _outcome(heard),
                status=heard.status,
                duration_ms=duration_ms,
                why=heard.why[:_WHY],
                delivery=heard.delivery,
            ),
        )


def _outcome(heard: Heard) -> CallOutcome:
    return CallOutcome.DONE if heard.is_success else CallOutcome.FAILED


def _refused(use: ToolUse, why: str) -> CallResult:
    return CallResult(text=f"The call was not made: {why}.", is_error=True, record=_record(use, CallOutcome.REFUSED))


def _declined(use: ToolUse, word: Word | None) -> CallResult:
    why = "the person who was asked has declined it" if word else "nobody has approved it in time"
    record = _record(use, CallOutcome.DECLINED, by=word.by if word else "", note=word.note if word else "")
    return CallResult(text=f"The call was not made: {why}. Do not ask for it again.", is_error=True, record=record)


def _unknown(use: ToolUse, tool: Tool, duration_ms: int = 0, why: str = "") -> CallResult:
    """Tell Claude, or raise `Unknown`: then the intent stays, and a replay ends alike."""
    if tool.fails_unknown:
        metrics.TOOL_CALLS.labels(kind_of(tool.rule), CallOutcome.UNKNOWN).inc()
        raise Unknown(f"tool {tool.rule.name}: nobody knows whether call {use.id} has happened")
    record = _record(use, CallOutcome.UNKNOWN, duration_ms=duration_ms, why=why[:_WHY])
    return CallResult(text=_UNKNOWN, is_error=True, record=record)


def _record(use: ToolUse, outcome: CallOutcome, **told: Any) -> CallRecord:
    return CallRecord(name=use.name[:64], outcome=outcome, arguments=arguments_hash(use.input), **told)
