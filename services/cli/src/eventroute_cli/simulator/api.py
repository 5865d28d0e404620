"""The Messages API without HTTP: one request in, one reply out, and an entry in the journal.

Order: key → shape of the request → scripted fault → rate limit → answer. A fault never hides a client's own mistake.
"""

import hashlib
import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count
from random import Random
from typing import Any, Final

import msgspec

from eventroute_cli.simulator.answer import Answer, compose, usage
from eventroute_cli.simulator.errors import ApiError, invalid
from eventroute_cli.simulator.faults import Fault, FaultKind, FaultScript
from eventroute_cli.simulator.journal import MAX_ENTRIES, Entry, Given, Journal, key_id, without_keys
from eventroute_cli.simulator.limits import NO_LIMITS, LimitChange, Limiter, Limits, RateLimits, organization_of
from eventroute_cli.simulator.models import MODELS, Catalogue, Life
from eventroute_cli.simulator.request import MessagesRequest, parse_count, parse_request
from eventroute_cli.simulator.stream import stream_events
from eventroute_cli.simulator.tokens import PromptCache, count_tokens

DEFAULT_KEY: Final = "sk-ant-simulated"
"""The key that the simulator accepts unless told otherwise; worthless anywhere else."""


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """How the simulator behaves."""

    keys: tuple[str, ...] = (DEFAULT_KEY,)
    """The keys that it accepts, each of an organization of its own."""
    latency_s: float = 0.0
    """Median time to an answer; 0 = at once."""
    latency_spread: float = 0.5
    """Sigma of the log-normal distribution around the median: at 0.5, one in six answers takes 1.6 times the median."""
    limits: RateLimits = NO_LIMITS
    """Of every pool."""
    limit_changes: tuple[LimitChange, ...] = ()
    """What is different in some pools."""
    lives: tuple[Life, ...] = ()
    """Models that go away at another time than is announced."""
    faults: tuple[Fault, ...] = ()
    journal_entries: int = MAX_ENTRIES
    """How many requests the journal keeps."""
    seed: int = 0
    """Latencies and rates repeat with the same seed."""
    clock: Callable[[], float] = field(default=time.time, repr=False)


class Manner(StrEnum):
    """How far a reply gets."""

    WHOLE = "whole"
    HANG = "hang"
    CUT = "cut"
    CUT_BODY = "cut_body"


_MANNERS: Final = {
    FaultKind.HANG: Manner.HANG,
    FaultKind.CUT: Manner.CUT,
    FaultKind.CUT_BODY: Manner.CUT_BODY,
}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What goes back over HTTP."""

    request_id: str
    status: int
    headers: dict[str, str]
    """Those of its limits excepted: what is left is told as of the moment when the answer goes out."""
    parts: Sequence[bytes]
    """The body: one part, or one for each server-sent event."""
    delay_s: float = 0.0
    manner: Manner = Manner.WHOLE
    limiter: Limiter | None = None
    """Whose limits hold; None where no key or model is known."""


class Simulator:
    """One simulated API with its script, limits, cache and journal."""

    def __init__(self, settings: SimulatorSettings) -> None:
        """Start with an empty journal and full rate-limit buckets."""
        self.faults = FaultScript(settings.faults, seed=settings.seed)
        self.journal = Journal(settings.journal_entries)
        self.catalogue = Catalogue(settings.lives)
        self.limits = Limits(settings.limits, settings.limit_changes)
        self._settings = settings
        self._cache = PromptCache()
        self._random = Random(settings.seed)
        self._ids = map("{:06d}".format, count(1))
        self._run = secrets.token_hex(9)  # ids of two runs must not meet in one history

    def answer(self, headers: list[tuple[str, str]], body: bytes) -> Reply:
        """Answer a call of `POST /v1/messages` at once, whatever its latency."""
        reply = self.begin(headers, body)
        self.end(reply)
        return replace(reply, headers=self.headers(reply))

    def begin(self, headers: list[tuple[str, str]], body: bytes, *, client: str = "") -> Reply:
        """Decide what to answer to a call of `POST /v1/messages`, and write it into the journal.

        client  address of who asks, for the journal
        """
        received_ns = time.time_ns()
        request_id = f"req_{self._run}{next(self._ids)}"
        request: MessagesRequest | None = None
        fault: Fault | None = None
        limiter: Limiter | None = None
        key = ""
        try:
            key = self._key(dict(headers))
            request = parse_request(body, version=dict(headers).get("anthropic-version"), answers=self._answers)
            limiter = self.limits.limiter(key, request.model, self._settings.clock())
            fault = self.faults.take(request.text)
            reply, given = self._reply(request, fault, limiter, key, request_id)
        except ApiError as error:
            reply = _error_reply(error, request_id, fault.delay_s if fault else 0.0)
            given = Given(status=error.status, text=error.message, fault=fault.kind if fault else "")
        if key:
            reply.headers["anthropic-organization-id"] = organization_of(key)
        self.journal.add(
            Entry(
                request_id=request_id,
                received_ns=received_ns,
                client=client,
                key=key_id(key) if key else "",
                headers=without_keys(headers),
                body_sha256=hashlib.sha256(body).hexdigest(),
                given=given,
                **_asked(request),
            ),
            len(body),
        )
        return replace(reply, limiter=limiter)

    def headers(self, reply: Reply) -> dict[str, str]:
        """Write the headers of a reply, with what is left of the limits now."""
        return {**reply.headers, **(reply.limiter.headers(self._settings.clock()) if reply.limiter else {})}

    def end(self, reply: Reply, *, client_gone: bool = False) -> None:
        """Note that a reply is out, or that its client did not wait for it."""
        self.journal.end(reply.request_id, time.time_ns(), client_gone=client_gone)

    def count(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """Answer `POST /v1/messages/count_tokens`; raises `ApiError`."""
        self._key(headers)
        request = parse_count(body, version=headers.get("anthropic-version"), answers=self._answers)
        return {"input_tokens": count_tokens(request.blocks)}

    def list_models(self, headers: dict[str, str], stages: Sequence[str], **page: Any) -> dict[str, Any]:
        """Answer `GET /v1/models`; raises `ApiError`."""
        self._check_reader(headers)
        return self.catalogue.page(stages, self._settings.clock(), **page)

    def describe_model(self, headers: dict[str, str], name: str) -> dict[str, Any]:
        """Answer `GET /v1/models/{id}`, of a retired model too; raises `ApiError`."""
        self._check_reader(headers)
        if name not in MODELS:
            raise ApiError(404, "not_found_error", f"model: {name}")
        return self.catalogue.info(name, self._settings.clock())

    def _check_reader(self, headers: dict[str, str]) -> None:
        self._key(headers)
        if "anthropic-version" not in headers:
            raise invalid("anthropic-version: header is required")

    def _answers(self, model: str) -> bool:
        return self.catalogue.answers(model, self._settings.clock())

    def change_limits(self, change: LimitChange) -> None:
        """Let other limits hold from now on."""
        self.limits.change(change, self._settings.clock())

    def _key(self, headers: dict[str, str]) -> str:
        bearer = headers.get("authorization", "")
        given = bearer.removeprefix("Bearer ") if bearer.startswith("Bearer ") else headers.get("x-api-key")
        if not given:
            raise ApiError(401, "authentication_error", "x-api-key header is required")
        if not any(secrets.compare_digest(given.encode(), key.encode()) for key in self._settings.keys):
            raise ApiError(401, "authentication_error", "invalid x-api-key")
        return given

    def _reply(
        self, request: MessagesRequest, fault: Fault | None, limiter: Limiter, key: str, request_id: str
    ) -> tuple[Reply, Given]:
        if fault and (error := fault.error()):
            raise error
        now = self._settings.clock()
        limiter.admit(count_tokens(request.blocks), now)
        delay_s = self._latency_s(fault)
        cache = self._cache.use(
            _cache_space(request, key),
            request.blocks,
            cacheable_from=MODELS[request.model].cacheable_from,
            now=now,
            begins_at=now + delay_s,
        )
        answer = compose(request, fault)
        limiter.settle(cached_tokens=cache.read, output_tokens=answer.output_tokens, now=now, over_s=delay_s)
        message = _message(request, answer, usage(cache, answer), request_id)
        reply = _message_reply(message, request, fault, request_id, delay_s)
        given = Given(
            status=0 if reply.manner in (Manner.HANG, Manner.CUT) else reply.status,
            fault=fault.kind if fault else "",
            stop_reason=answer.stop_reason,
            text=answer.text,
            input_tokens=count_tokens(request.blocks),
            output_tokens=answer.output_tokens,
        )
        return reply, given

    def _latency_s(self, fault: Fault | None) -> float:
        extra = fault.delay_s if fault else 0.0
        if not self._settings.latency_s:
            return extra
        return extra + self._random.lognormvariate(math.log(self._settings.latency_s), self._settings.latency_spread)


def _asked(request: MessagesRequest | None) -> dict[str, Any]:
    if request is None:
        return {}
    return {
        name: getattr(request, name)
        for name in ("model", "max_tokens", "thinking", "effort", "stream", "system", "text", "body")
    }


def _cache_space(request: MessagesRequest, key: str) -> str:
    """Name what has to be the same for a prompt's beginning to be found again, besides its text."""
    settings = {name: request.body.get(name) for name in ("thinking", "output_config", "tool_choice", "speed")}
    return "\0".join((key, request.model, msgspec.json.encode(settings).decode()))


def _message(request: MessagesRequest, answer: Answer, figures: dict[str, Any], request_id: str) -> dict[str, Any]:
    message_id = request_id.replace("req_", "msg_")
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": answer.content(message_id),
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": answer.stop_details,
        "container": None,
        "diagnostics": None,
        "usage": figures,
    }


def _message_reply(
    message: dict[str, Any], request: MessagesRequest, fault: Fault | None, request_id: str, delay_s: float
) -> Reply:
    kind = fault.kind if fault else FaultKind.OK
    parts = stream_events(message) if request.stream else (msgspec.json.encode(message),)
    if kind is FaultKind.MALFORMED:
        parts = tuple(part.replace(b'"type":', b'"type"', 1) for part in parts)
    media_type = "text/event-stream; charset=utf-8" if request.stream else "application/json"
    return Reply(
        request_id=request_id,
        status=200,
        headers={"request-id": request_id, "content-type": media_type},
        parts=parts,
        delay_s=delay_s,
        manner=_MANNERS.get(kind, Manner.WHOLE),
    )


def _error_reply(error: ApiError, request_id: str, delay_s: float) -> Reply:
    headers = {"request-id": request_id, "content-type": "application/json", **error.headers}
    return Reply(
        request_id=request_id,
        status=error.status,
        headers=headers,
        parts=(error.body(request_id),),
        delay_s=delay_s,
    )
