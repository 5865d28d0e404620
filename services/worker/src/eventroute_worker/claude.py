"""Calls to Claude: the one module that knows the SDK, and what each way in which a call can end means for a delivery.

Every call ends in one of three values: an `Answer`, `Postponed` (the same call may succeed later) or `GivenUp` (it
never will). The SDK's own retries are off, as they would sleep in the delivery's slot; its own tracing is off, as it
names spans and attributes in its own way. Knows neither Redis nor routes.

What the stop reasons mean:
    end_turn, stop_sequence                     succeeded
    refusal                                     refused: what text there is, is kept on the run and goes to no sink
    model_context_window_exceeded without text  dead `context_window`: the prompt left no room for an answer
    all others, also ones not known yet         truncated: Claude did not end its turn; the text is kept and goes on
"""

import asyncio
import contextlib
import email.utils
import time
from types import TracebackType
from typing import Final, Self

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
from anthropic.types import OutputConfigParam, ThinkingConfigParam
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from eventroute.outcome import DeadReason, RunOutcome
from eventroute.prompt import Prompt
from eventroute.route_table import ModelCall
from eventroute.runtime import tracing
from eventroute.secret import Secret
from eventroute_worker import metrics
from eventroute_worker.answer import Answer, GivenUp, Postponed, Reply, Usage
from eventroute_worker.models import Accepts, Models
from eventroute_worker.pricing import Prices

_CONNECT_S: Final = 5.0

_RETRY_STATUS: Final = frozenset({408, 409, 429, 499})
_TIMEOUT_STATUS: Final = frozenset({408, 504})
_REASONS: Final = {
    401: DeadReason.AUTHENTICATION,
    402: DeadReason.BILLING,
    403: DeadReason.PERMISSION,
    404: DeadReason.NOT_FOUND,
    413: DeadReason.TOO_LARGE,
    431: DeadReason.TOO_LARGE,
}
_SERVER_ERROR: Final = 500

_SPEND_LIMITS: Final = frozenset({"contract_spend_limit_reached", "enforced_spend_limit_reached"})
"""Codes of 429 answers that last until somebody pays or the month ends, not until a bucket has refilled."""

_SUCCEEDED: Final = frozenset({"end_turn", "stop_sequence"})


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class _CacheCreation(msgspec.Struct, frozen=True):
    ephemeral_1h_input_tokens: int = 0


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None


class _Message(msgspec.Struct, frozen=True):
    id: str
    model: str
    content: list[_Block]
    stop_reason: str | None
    usage: _Usage


_decoder = msgspec.json.Decoder(_Message)


class Claude:
    """The Messages API, with one SDK client per API key and a limit on concurrent calls."""

    def __init__(
        self,
        *,
        api_key: Secret | None,
        base_url: str | None,
        concurrent_calls: int,
        propagate_trace: bool,
        prices: Prices,
    ) -> None:
        """Take what all calls share; further keys' clients are made at their first call, all are closed with this.

        api_key          for routes without a key of their own
        base_url         None = the public API
        propagate_trace  send `traceparent`: it leaves the installation
        """
        self._api_key = api_key
        self._base_url = base_url
        self._slots = asyncio.Semaphore(concurrent_calls)
        self._propagate_trace = propagate_trace
        self._prices = prices
        self._models = Models.load()
        self._clients: dict[str, AsyncAnthropic] = {}

    async def __aenter__(self) -> Self:
        if key := _text(self._api_key):
            self._client(key)  # takes 0.1 s, which the first delivery need not wait for
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        """Ask once; waits for its turn first, and does not raise for anything that the API does.

        api_key  the route's own; None = the worker's
        """
        key = _text(api_key or self._api_key)
        if not key:
            return GivenUp(reason=DeadReason.AUTHENTICATION, detail="neither the route nor the worker has a Claude key")
        async with self._slots:
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
                reply = await self._call(call, prompt, key, span)
                _describe(span, reply)
            _measure(call.name, reply, time.monotonic() - started)
        return reply

    async def _call(self, call: ModelCall, prompt: Prompt, key: str, span: Span) -> Reply:
        context = tracing.traceparent(span) if self._propagate_trace else ""
        accepts = self._models.accepts(call.name)
        try:
            async with asyncio.timeout(call.timeout_s):  # the SDK's timeout is per read: a slow trickle would pass it
                raw = await self._client(key).messages.with_raw_response.create(
                    model=call.name,
                    max_tokens=call.max_tokens,
                    system=prompt.system or anthropic.omit,
                    messages=[{"role": "user", "content": prompt.user}],
                    thinking=_thinking(accepts),
                    output_config=_effort(accepts),
                    timeout=anthropic.Timeout(call.timeout_s, connect=_CONNECT_S),
                    extra_headers={"traceparent": context} if context else None,
                )
        except TimeoutError:
            return Postponed(detail=f"no answer within {call.timeout_s:g} s", timed_out=True)
        except APIError as error:
            return classify(error)
        return self._read(raw.http_response.content, raw.request_id or "")

    def _read(self, body: bytes, request_id: str) -> Reply:
        try:
            message = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Postponed(detail=f"the API's answer is unreadable (request {request_id}): {error}")
        text = "".join(block.text for block in message.content if block.type == "text").strip()
        stop_reason = message.stop_reason or "unknown"
        if stop_reason == "model_context_window_exceeded" and not text:
            return GivenUp(reason=DeadReason.CONTEXT_WINDOW, detail="the prompt leaves no room for an answer")
        usage = _read_usage(message.usage)
        return Answer(
            outcome=_outcome(stop_reason),
            text=text,
            model=message.model,
            stop_reason=stop_reason,
            message_id=message.id,
            request_id=request_id,
            usage=usage,
            cost_usd=self._prices.cost(message.model, usage),
            answered_ms=time.time_ns() // 1_000_000,
        )

    def _client(self, key: str) -> AsyncAnthropic:
        if (client := self._clients.get(key)) is None:
            client = self._clients[key] = AsyncAnthropic(
                api_key=key,
                base_url=self._base_url or "https://api.anthropic.com",  # named, or the SDK looks in the environment
                max_retries=0,
                open_telemetry=False,
                http_client=DefaultAioHttpClient(),
            )
        return client


def classify(error: APIError) -> Postponed | GivenUp:
    """Tell whether a failed call is worth repeating, by status, type and code, never by wording."""
    if isinstance(error, APITimeoutError):
        return Postponed(detail="the connection timed out", timed_out=True)
    if isinstance(error, APIConnectionError):
        return Postponed(detail="no connection to the API")
    if not isinstance(error, APIStatusError):
        return Postponed(detail=f"the API's answer is unreadable: {type(error).__name__}")
    status, cause = error.status_code, error.error_code or error.type or "no type"
    detail = f"{status} {cause} (request {error.request_id or 'unknown'})"
    if error.type == "billing_error" or error.error_code in _SPEND_LIMITS:
        return GivenUp(reason=DeadReason.BILLING, detail=detail)
    if status in _RETRY_STATUS or status >= _SERVER_ERROR:
        after_s = _retry_after_s(
            error.response.headers.get("retry-after-ms"), error.response.headers.get("retry-after")
        )
        return Postponed(detail=detail, after_s=after_s, timed_out=status in _TIMEOUT_STATUS)
    return GivenUp(reason=_REASONS.get(status, DeadReason.INVALID_REQUEST), detail=detail)


def _thinking(accepts: Accepts | None) -> ThinkingConfigParam | Omit:
    """Turn thinking off where that is possible."""
    if accepts is None or accepts.thinking_off is None:
        return anthropic.omit
    return {"type": "disabled"} if accepts.thinking_off == "disabled" else {"type": "between_tools"}


def _effort(accepts: Accepts | None) -> OutputConfigParam | Omit:
    return {"effort": "low"} if accepts and accepts.effort else anthropic.omit


def _text(key: Secret | None) -> str:
    """Read a key as it goes into a header; Secrets often end with a line break."""
    return key.reveal().decode(errors="replace").strip() if key else ""


def _retry_after_s(milliseconds: str | None, seconds_or_date: str | None) -> float | None:
    for text, unit_s in ((milliseconds, 0.001), (seconds_or_date, 1.0)):
        with contextlib.suppress(ValueError):
            if (after_s := float(text or "") * unit_s) >= 0:  # false for what is not a number
                return after_s
    moment = email.utils.parsedate_tz(seconds_or_date or "")
    return max(email.utils.mktime_tz(moment) - time.time(), 0.0) if moment else None


def _outcome(stop_reason: str) -> RunOutcome:
    if stop_reason in _SUCCEEDED:
        return RunOutcome.SUCCEEDED
    return RunOutcome.REFUSED if stop_reason == "refusal" else RunOutcome.TRUNCATED


def _read_usage(usage: _Usage) -> Usage:
    written = usage.cache_creation_input_tokens or 0
    for_an_hour = usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else 0
    return Usage(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cache_write=max(written - for_an_hour, 0),
        cache_write_1h=for_an_hour,
        cache_read=usage.cache_read_input_tokens or 0,
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
    kind = reply.reason if isinstance(reply, GivenUp) else "timeout" if reply.timed_out else "retry"
    span.set_attribute(tracing.ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR, reply.detail))


def _measure(model: str, reply: Reply, seconds: float) -> None:
    if not isinstance(reply, Answer):
        metrics.CLAUDE_SECONDS.labels(model, "postponed" if isinstance(reply, Postponed) else "given_up").observe(
            seconds
        )
        return
    metrics.CLAUDE_SECONDS.labels(model, "answered").observe(seconds)
    usage = reply.usage
    for kind, tokens in (
        ("input", usage.input),
        ("output", usage.output),
        ("cache_write", usage.cache_write + usage.cache_write_1h),
        ("cache_read", usage.cache_read),
    ):
        metrics.TOKENS.labels(model, kind).inc(tokens)
    if reply.cost_usd is None:
        metrics.UNPRICED.labels(model).inc()
    else:
        metrics.COST_USD.labels(model).inc(float(reply.cost_usd))
