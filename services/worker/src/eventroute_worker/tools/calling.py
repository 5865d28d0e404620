"""The calls of one turn: each is judged, made once, and its result saved; some of them beside each other.

    known and allowed for this event? → arguments fit? → room within the limits? → intent saved → call → result saved

What is refused is a result too, which says why, so that Claude can do better. A call without side effect that was cut
short is made again; one with may have happened, and is not.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from opentelemetry.trace import SpanKind, StatusCode

from eventroute.answer_schema import DoesNotFit
from eventroute.ids import DeliveryId
from eventroute.runtime import tracing
from eventroute.talk import CallOutcome, CallRecord, CallResult, ToolUse
from eventroute.tool import Tool
from eventroute.tool_url import ToolUrlRefused
from eventroute_worker import metrics
from eventroute_worker.outbound import Request
from eventroute_worker.talk import Talk
from eventroute_worker.tools.http import Asks, Heard, build_request, describe, send

_AT_ONCE: Final = 4  # calls of one turn; arbitrary
_DIGITS: Final = 16
_WHY: Final = 200  # characters of why a call failed

_UNKNOWN: Final = (
    "It is not known whether this call has happened: it was sent, and no answer came. Do not make it again unless you "
    "can see that it has not; say in your answer that it is not known."
)


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

    delivery: DeliveryId
    tools: Sequence[Tool]
    """Those that the event has."""
    talk: Talk
    save: Notes
    room: int
    """How many calls may be made."""
    full: str
    """What keeps others from it."""
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))


class Calling:
    """Makes calls."""

    def __init__(self, way: Asks) -> None:
        """Take the way out."""
        self._way = way

    async def run(self, scene: Scene) -> None:
        """Make the calls that have no result yet; raises `Unknown`, `TooLarge`, and what saving raises."""
        missing = scene.talk.missing()
        calls = [self._call(scene, use, has_room=number < scene.room) for number, use in enumerate(missing)]
        ended = await asyncio.gather(*calls, return_exceptions=True)  # one that fails cuts no other one off
        for error in ended:
            if error is not None:
                raise error

    async def _call(self, scene: Scene, use: ToolUse, *, has_room: bool) -> None:
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
                result = await self._result(scene, use, tool, has_room=has_room)
                span.set_attribute(tracing.OUTCOME, result.record.outcome)
                if result.is_error:
                    span.set_status(StatusCode.ERROR)
        metrics.TOOL_CALLS.labels("http" if tool else "none", result.record.outcome).inc()
        await scene.save(scene.talk.end(use, result))

    async def _result(self, scene: Scene, use: ToolUse, tool: Tool | None, *, has_room: bool) -> CallResult:
        if tool is None:
            known = ", ".join(each.rule.name for each in scene.tools)
            return _refused(use, f"there is no tool of this name; there are: {known or 'none'}")
        if scene.talk.is_intended(use):
            return _unknown(use, tool)
        key = f"{scene.delivery}:{use.id}"
        try:
            arguments = tool.read(use.input)
            request = build_request(tool, arguments, key=key)
        except DoesNotFit as error:
            return _refused(use, f"the arguments do not fit the tool's input schema: {error}")
        except ToolUrlRefused as error:
            return _refused(use, f"the arguments do not fit: {error}")
        if not has_room:
            return _refused(use, scene.full)
        if tool.rule.dry_run:
            return CallResult(
                text=describe(tool.rule, request), is_error=False, record=_record(use, CallOutcome.DRY_RUN)
            )
        return await self._send(scene, use, tool, request, key=key)

    async def _send(self, scene: Scene, use: ToolUse, tool: Tool, request: Request, *, key: str) -> CallResult:
        if tool.rule.side_effect:
            await scene.save(scene.talk.intend(use))
        started = time.monotonic()
        heard = await send(self._way, tool.rule, request, key=key)
        duration_ms = int((time.monotonic() - started) * 1000)
        if heard.may_have_happened and tool.rule.side_effect:
            return _unknown(use, tool, duration_ms, heard.why)
        return CallResult(
            text=heard.text,
            is_error=not heard.is_success,
            record=_record(use, _outcome(heard), status=heard.status, duration_ms=duration_ms, why=heard.why[:_WHY]),
        )


def _outcome(heard: Heard) -> CallOutcome:
    return CallOutcome.DONE if heard.is_success else CallOutcome.FAILED


def _refused(use: ToolUse, why: str) -> CallResult:
    return CallResult(text=f"The call was not made: {why}.", is_error=True, record=_record(use, CallOutcome.REFUSED))


def _unknown(use: ToolUse, tool: Tool, duration_ms: int = 0, why: str = "") -> CallResult:
    """Tell Claude, or raise `Unknown`: then the intent stays, and a replay ends alike."""
    if tool.rule.on_unknown == "fail":
        metrics.TOOL_CALLS.labels("http", CallOutcome.UNKNOWN).inc()
        raise Unknown(f"tool {tool.rule.name}: nobody knows whether call {use.id} has happened")
    record = _record(use, CallOutcome.UNKNOWN, duration_ms=duration_ms, why=why[:_WHY])
    return CallResult(text=_UNKNOWN, is_error=True, record=record)


def _record(use: ToolUse, outcome: CallOutcome, **told: Any) -> CallRecord:
    arguments = hashlib.sha256(msgspec.json.encode(use.input, order="deterministic")).hexdigest()[:_DIGITS]
    return CallRecord(name=use.name[:64], outcome=outcome, arguments=arguments, **told)
