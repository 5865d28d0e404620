"""Calls to Claude: the one module that knows the SDK, and what each way in which a call can end means for a delivery.

Every call ends in one of five values: an `Answer`, or, by whose fault there is none, `Passing` (nobody's here),
`Failed` (this attempt's), `Standing` (of key, account or model, until somebody mends it) or `GivenUp` (the delivery's).
The SDK's own retries are off, as they would sleep in the delivery's slot; its own tracing is off, as it
names spans and attributes in its own way. Knows neither Redis nor routes.

An answer is the text of its text blocks. What the stop reasons mean:
    refusal                                     refused: what text there is, is kept on the run and goes to no sink
    model_context_window_exceeded without text  dead `context_window`: the prompt left no room for an answer
    any other without text                      no_text: paid for all the same; often thinking used up `max_tokens`
    end_turn, stop_sequence                     succeeded
    all others, also ones not known yet         truncated: Claude did not end its turn; the text is kept and goes on
"""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, cast

import aiohttp
import anthropic
import msgspec
from anthropic import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncAnthropic,
    DefaultAioHttpClient,
    Omit,
)
from anthropic.types import (
    MessageParam,
    OutputConfigParam,
    TextBlockParam,
    ThinkingConfigParam,
    ToolChoiceParam,
    ToolParam,
)
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from eventroute.errors import RetryLater
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.prompt import Prompt
from eventroute.route_table import ModelCall
from eventroute.runtime import tracing
from eventroute.runtime.notices import Notice
from eventroute.secret import Secret
from eventroute.throttle import Told
from eventroute_worker import metrics
from eventroute_worker.answer import (
    CATEGORIES,
    NOT_TOLD,
    Answer,
    Failed,
    GivenUp,
    Passing,
    Reply,
    Silence,
    Standing,
    Usage,
)
from eventroute_worker.api_key import OwnKey, key_id, key_text
from eventroute_worker.caching import Caching, Lifetime
from eventroute_worker.fault import Refusal, judge
from eventroute_worker.limits import read_limits
from eventroute_worker.pricing import Prices

_CONNECT_S: Final = 5.0
_LIST_S: Final = 30.0  # for a list of models; arbitrary
_GOING: Final[list[Literal["active", "deprecated", "retired"]]] = ["deprecated", "retired"]
_MOST_MODELS: Final = 1000  # as many as the API puts on one page, and far more than there are

_IDLE_S: Final = 600.0
"""After so long without a call a key's client is closed: keys are replaced, and routes deleted. Arbitrary."""

_END: Final = {
    Answer: "answered",
    Passing: "passing",
    Failed: "failed",
    Standing: "standing",
    GivenUp: "given_up",
}
"""What a call's end is called in metrics and spans."""

_SUCCEEDED: Final = frozenset({"end_turn", "stop_sequence"})
_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class _CacheCreation(msgspec.Struct, frozen=True):
    ephemeral_1h_input_tokens: int = 0


class _OutputDetails(msgspec.Struct, frozen=True):
    thinking_tokens: int = 0


class _StopDetails(msgspec.Struct, frozen=True):
    category: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None


class _Message(msgspec.Struct, frozen=True):
    id: str
    model: str
    content: msgspec.Raw
    stop_reason: str | None
    usage: _Usage
    stop_details: _StopDetails | None = None


class _Model(msgspec.Struct, frozen=True):
    id: str
    lifecycle: str
    retires_at: dt.datetime | None = None

    def notice(self) -> Notice:
        day = self.retires_at.astimezone(dt.UTC).date() if self.retires_at else None
        return Notice(is_retired=self.lifecycle == "retired", retires=day)


class _ModelPage(msgspec.Struct, frozen=True):
    data: list[_Model]


class _Error(msgspec.Struct, frozen=True):
    type: str | None = None
    message: str = ""


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _Error


_decoder = msgspec.json.Decoder(_Message)
_blocks = msgspec.json.Decoder(list[_Block])


@dataclass
class _Client:
    """A key's client, and whether it is in use."""

    sdk: AsyncAnthropic
    calls: int = 0
    used: float = 0.0
    """Monotonic seconds."""


class Claude:
    """The Messages API, with one SDK client per API key."""

    def __init__(
        self,
        *,
        api_key: Secret | None,
        base_url: str | None,
        propagate_trace: bool,
        prices: Prices,
        key_file: Path | None = None,
        idle_s: float = _IDLE_S,
    ) -> None:
        """Take what all calls share; further keys' clients are made at their first call, all are closed with this.

        api_key          for routes without a key of their own
        key_file         where that one came from; looked at again
        idle_s           how long a key's client is kept without a call
        base_url         None = the public API
        propagate_trace  send `traceparent`: it leaves the installation
        """
        self._own_key = OwnKey(api_key, key_file)
        self._idle_s = idle_s
        self._base_url = base_url
        self._propagate_trace = propagate_trace
        self._prices = prices
        self._caching = Caching()
        self._clients: dict[str, _Client] = {}

    async def __aenter__(self) -> Self:
        if key := key_text(self._own_key.current()):
            self._open(key)  # takes 0.1 s, which the first delivery need not wait for
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._clients:
            await self._clients.popitem()[1].sdk.close()

    def key_id(self, api_key: Secret | None) -> str:
        """Name the key that a call would take, without telling it: 16 hex digits, empty without a key.

        api_key  the route's own; None = the worker's
        """
        return key_id(api_key or self._own_key.current())

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        """Ask once; does not raise for anything that the API does.

        api_key  the route's own; None = the worker's
        """
        key = key_text(api_key or self._own_key.current())
        if not key:
            detail = "neither the route nor the worker has a Claude key"
            return Standing(reason=DeadReason.AUTHENTICATION, detail=detail, whole_key=True)
        started = time.monotonic()
        with tracing.tracer().start_as_current_span(
            f"chat {call.name}",
            kind=SpanKind.CLIENT,
            attributes={
                tracing.GENAI_OPERATION: "chat",
                tracing.GENAI_PROVIDER: "anthropic",
                tracing.GENAI_REQUEST_MODEL: call.name,
                tracing.GENAI_REQUEST_MAX_TOKENS: call.max_tokens,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            with self._caching.deciding(call, prompt, key) as mark:
                reply = await self._call(call, prompt, mark.lifetime, key=key, span=span)
                mark.usage = paid.usage if (paid := _paid(reply)) else None
            _describe(span, reply)
        _measure(call.name, reply, time.monotonic() - started)
        if api_key is None and isinstance(reply, Standing) and reply.reason is DeadReason.AUTHENTICATION:
            self._own_key.distrust()
        return reply

    async def notices(self, *, api_key: Secret | None) -> dict[str, Notice]:
        """List the models that are no longer active; raises `RetryLater` where the API does not say.

        api_key  the route's own; None = the worker's
        """
        key = key_text(api_key or self._own_key.current())
        try:
            async with self._client(key) as client, asyncio.timeout(_LIST_S):
                raw = await client.models.with_raw_response.list(lifecycle=_GOING, limit=_MOST_MODELS)
            page = msgspec.json.decode(raw.http_response.content, type=_ModelPage)
        except TimeoutError as error:
            raise RetryLater(f"no answer within {_LIST_S:g} s") from error
        except APIError as error:
            raise RetryLater(classify(error).detail) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RetryLater("the API's list of models is unreadable") from error
        return {model.id: model.notice() for model in page.data if model.lifecycle in _GOING}

    async def _call(self, call: ModelCall, prompt: Prompt, lifetime: Lifetime | None, *, key: str, span: Span) -> Reply:
        context = tracing.traceparent(span) if self._propagate_trace else ""
        try:
            # The SDK's timeout is per read: a slow trickle would pass it.
            async with self._client(key) as client, asyncio.timeout(call.timeout_s):
                raw = await client.messages.with_raw_response.create(
                    model=call.name,
                    max_tokens=call.max_tokens,
                    system=_system(prompt, lifetime),
                    messages=_messages(prompt),
                    thinking=_thinking(call),
                    output_config=_output_config(call, prompt),
                    tools=_tools(prompt),
                    tool_choice=_tool_choice(prompt),
                    # That there is no connection must show before the whole call's time is up, which is another fault.
                    timeout=anthropic.Timeout(None, connect=min(_CONNECT_S, call.timeout_s / 2)),
                    extra_headers={"traceparent": context} if context else None,
                )
        except TimeoutError:
            return Failed(detail=f"no answer within {call.timeout_s:g} s", timed_out=True, may_be_paid=True)
        except APIError as error:
            told = read_limits(error.response.headers) if isinstance(error, APIStatusError) else NOT_TOLD
            return replace(classify(error), told=told)
        may_act = bool(prompt.offers) and prompt.may_act
        return self._read(raw.http_response.content, raw.request_id or "", read_limits(raw.headers), may_act=may_act)

    def _read(self, body: bytes, request_id: str, told: Told = NOT_TOLD, *, may_act: bool = False) -> Reply:
        try:
            message = _decoder.decode(body)
            blocks = _blocks.decode(message.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            detail = f"the API's answer is unreadable (request {request_id}): {error}"
            return Failed(detail=detail, may_be_paid=True, told=told)
        text = "".join(block.text for block in blocks if block.type == "text").strip()
        stop_reason = message.stop_reason or "unknown"
        usage = _read_usage(message.usage)
        outcome, reason = _outcome(message, text, blocks)
        goes_on = may_act and stop_reason == "tool_use" and any(block.type == "tool_use" for block in blocks)
        answer = Answer(
            outcome=outcome,
            reason=reason,
            text=text,
            model=message.model,
            stop_reason=stop_reason,
            message_id=message.id,
            request_id=request_id,
            usage=usage,
            cost_usd=self._prices.cost(message.model, usage),
            answered_ms=time.time_ns() // 1_000_000,
            goes_on=goes_on,
            said=bytes(message.content) if goes_on else b"",
            told=told,
        )
        if stop_reason == "model_context_window_exceeded" and not text:
            detail = "the prompt leaves no room for an answer"
            return GivenUp(reason=DeadReason.CONTEXT_WINDOW, detail=detail, paid=answer, told=told)
        return answer

    @asynccontextmanager
    async def _client(self, key: str) -> AsyncIterator[AsyncAnthropic]:
        """Lend a key's client for one call, and close those that nobody has used for long."""
        client = self._clients.get(key) or self._open(key)
        client.calls += 1
        try:
            await self._close_idle()
            yield client.sdk
        finally:
            client.calls -= 1
            client.used = time.monotonic()

    def _open(self, key: str) -> _Client:
        sdk = AsyncAnthropic(
            api_key=key,
            base_url=self._base_url or "https://api.anthropic.com",  # named, or the SDK looks in the environment
            max_retries=0,
            open_telemetry=False,
            http_client=DefaultAioHttpClient(),
        )
        client = self._clients[key] = _Client(sdk, used=time.monotonic())
        return client

    async def _close_idle(self) -> None:
        while idle := self._idle():
            await self._clients.pop(idle).sdk.close()  # meanwhile another call may close, or take, the next one

    def _idle(self) -> str | None:
        since = time.monotonic() - self._idle_s
        return next((key for key, client in self._clients.items() if not client.calls and client.used <= since), None)


def classify(error: APIError) -> Passing | Failed | Standing | GivenUp:
    """Tell whose fault a failed call is."""
    if isinstance(error, APITimeoutError):
        return Passing(detail="the connection timed out", may_be_paid=_may_have_arrived(error))
    if isinstance(error, APIConnectionError):
        return Passing(detail="no connection to the API", may_be_paid=_may_have_arrived(error))
    if not isinstance(error, APIStatusError):
        return Failed(detail=f"the API's answer is unreadable: {type(error).__name__}", may_be_paid=True)
    told = _told(error.body)
    return judge(
        Refusal(
            status=error.status_code,
            type=told.type,
            code=error.error_code,
            message=told.message,
            headers=error.response.headers,
            request_id=error.request_id,
        )
    )


def _may_have_arrived(error: BaseException) -> bool:
    """Tell whether there was a connection: the SDK, and what it uses, call a lost one and none by the same name."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        cause = cause.__cause__ or cause.__context__
    return cause is None


def _told(body: object) -> _Error:
    """Read what the API says; the SDK's message is the whole body as text, and its type whatever stands there."""
    try:
        return msgspec.convert(body, _ErrorBody).error
    except msgspec.ValidationError:
        return _Error()


def _thinking(call: ModelCall) -> ThinkingConfigParam | Omit:
    match call.thinking:
        case "adaptive":
            return {"type": "adaptive"}
        case "disabled":
            return {"type": "disabled"}
        case "between_tools":
            return {"type": "between_tools"}
        case _:
            return anthropic.omit


def _system(prompt: Prompt, lifetime: Lifetime | None) -> str | list[TextBlockParam] | Omit:
    """Write the static part; what is cached ends with it, so that nothing of an event is a part of it."""
    if not prompt.system:
        return anthropic.omit
    if lifetime is None:
        return prompt.system
    return [{"type": "text", "text": prompt.system, "cache_control": {"type": "ephemeral", "ttl": lifetime}}]


def _messages(prompt: Prompt) -> list[MessageParam]:
    messages: list[MessageParam] = [{"role": "user", "content": prompt.user}]
    for answer, said in zip(prompt.turns[::2], prompt.turns[1::2], strict=True):
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": said}]
    for exchange in prompt.exchanges:
        messages += cast("list[MessageParam]", exchange.messages())
    return messages


def _tools(prompt: Prompt) -> list[ToolParam] | Omit:
    tools: list[ToolParam] = [
        {"name": offer.name, "description": offer.description, "input_schema": offer.input_schema, "strict": True}
        for offer in prompt.offers
    ]
    return tools or anthropic.omit


def _tool_choice(prompt: Prompt) -> ToolChoiceParam | Omit:
    return {"type": "none"} if prompt.offers and not prompt.may_act else anthropic.omit


def _output_config(call: ModelCall, prompt: Prompt) -> OutputConfigParam | Omit:
    config: OutputConfigParam = {}
    if call.effort:
        config["effort"] = call.effort
    if prompt.output_schema:
        config["format"] = {"type": "json_schema", "schema": dict(prompt.output_schema)}
    return config or anthropic.omit


def _outcome(message: _Message, text: str, blocks: Sequence[_Block]) -> tuple[RunOutcome, str]:
    """Tell how an answer ended, and the reason of a refusal or of silence."""
    if message.stop_reason == "refusal":
        category = message.stop_details.category if message.stop_details else None
        return RunOutcome.REFUSED, category if category in CATEGORIES else "other" if category else "uncategorized"
    if not text:
        thought = any(block.type in _THOUGHTS for block in blocks)
        return RunOutcome.NO_TEXT, Silence.THINKING_ONLY if thought else Silence.EMPTY
    return (RunOutcome.SUCCEEDED if message.stop_reason in _SUCCEEDED else RunOutcome.TRUNCATED), ""


def _read_usage(usage: _Usage) -> Usage:
    written = usage.cache_creation_input_tokens or 0
    for_an_hour = usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else 0
    return Usage(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cache_write=max(written - for_an_hour, 0),
        cache_write_1h=for_an_hour,
        cache_read=usage.cache_read_input_tokens or 0,
        thinking=usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0,
    )


def _describe(span: Span, reply: Reply) -> None:
    if isinstance(reply, Answer):
        span.set_attributes(
            {
                tracing.GENAI_RESPONSE_ID: reply.message_id,
                tracing.GENAI_RESPONSE_MODEL: reply.model,
                tracing.GENAI_FINISH_REASONS: (reply.stop_reason,),
                tracing.GENAI_INPUT_TOKENS: reply.usage.prompt,
                tracing.GENAI_OUTPUT_TOKENS: reply.usage.output,
            }
        )
        return
    span.set_attribute(tracing.ERROR_TYPE, reply.reason if isinstance(reply, Standing | GivenUp) else _END[type(reply)])
    span.set_status(Status(StatusCode.ERROR, reply.detail))


def _paid(reply: Reply) -> Answer | None:
    match reply:
        case Answer():
            return reply
        case GivenUp():
            return reply.paid
        case _:
            return None


def _measure(model: str, reply: Reply, seconds: float) -> None:
    metrics.CLAUDE_SECONDS.labels(model, _END[type(reply)]).observe(seconds)
    paid = _paid(reply)
    if paid is None:
        return
    usage = paid.usage
    for kind, tokens in (
        ("input", usage.input),
        ("output", usage.output - usage.thinking),
        ("thinking", usage.thinking),
        ("cache_write", usage.cache_write + usage.cache_write_1h),
        ("cache_read", usage.cache_read),
    ):
        metrics.TOKENS.labels(model, kind).inc(tokens)
    if paid.cost_usd is None:
        metrics.UNPRICED.labels(model).inc()
    else:
        metrics.COST_USD.labels(model).inc(float(paid.cost_usd))
