"""The `http` sink: the answer POSTed to a service of the team's own, as a Standard Webhooks message.

`Idempotency-Key` and `webhook-id` are the same however often an answer is sent; the signature and its time are new with
each attempt. Of the response only the status and `Retry-After` count.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from eventroute.route_table import HttpSink
from eventroute.schemes import SCHEMES, Request, sign
from eventroute.secret import Secret
from eventroute_worker.sinks.model import Result, SinkFailed, SinkRefused

TYPE: Final = "eventroute.answer"
"""Of every message; what happened at the provider stands in its `data.event`."""

_SCHEME: Final = SCHEMES["standard-webhooks"]
_SIGNED: Final = b"webhook-signature"
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_SERVER_ERROR: Final = 500
_LONGEST_WAIT_S: Final = 3600  # that a service may ask for; arbitrary


class Response(NamedTuple):
    """What a service said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""


class Unreachable(Exception):
    """There was no response; the message says why, without what was sent."""


class Forbidden(Exception):
    """The installation's rules do not let this request out; the message names the rule."""


class Posts(Protocol):
    """The way out."""

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Response:
        """Send one request; raises `Unreachable` or `Forbidden`."""
        ...


class HttpSinkWriter:
    """Sends answers to services."""

    def __init__(self, way: Posts, *, clock: Callable[[], float] = time.time) -> None:
        """Take the way out."""
        self._way = way
        self._clock = clock

    async def send(self, sink: HttpSink, result: Result) -> None:
        """Send the answer once; raises `SinkFailed` or `SinkRefused`."""
        body = msgspec.json.encode(build_message(sink.name, result))
        headers = {
            "content-type": "application/json",
            "user-agent": "EventRoute",
            "idempotency-key": result.idempotency_key(sink.name),
            **signed(body, id=result.idempotency_key(sink.name), secrets=sink.secrets, now=self._clock()),
        }
        try:
            response = await self._way.post(sink.url, headers=headers, body=body, timeout_s=sink.timeout_s)
        except Unreachable as error:
            raise SinkFailed(str(error)) from error
        except Forbidden as error:
            raise SinkRefused(str(error)) from error
        _judge(response)


def build_message(sink: str, result: Result) -> dict[str, Any]:
    """Write what a service is told; the answer of a prompt with a schema is data as well."""
    delivery, answer = result.delivery, result.answer
    answered = datetime.fromtimestamp(answer.answered_ms / 1000, tz=UTC)
    return {
        "type": TYPE,
        "timestamp": answered.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "delivery": delivery.id,
            "idempotency_key": result.idempotency_key(sink),
            "route": delivery.route,
            "provider": delivery.provider,
            "event": delivery.event,
            "provider_id": delivery.provider_id,
            "received_ms": delivery.received_ms,
            "outcome": answer.outcome,
            "model": answer.model,
            "text": answer.text,
            "value": answer.value,
            "usage": answer.usage,
            "cost_usd": None if answer.cost_usd is None else str(answer.cost_usd),
            "hops": result.hops,
            "marker": result.marker,
            "trace_id": result.trace_id,
        },
    }


def signed(body: bytes, *, id: str, secrets: Sequence[Secret], now: float) -> dict[str, str]:  # noqa: A002
    """Write a message's id and time, and a signature by each of the secrets."""
    told = {"webhook-id": id, "webhook-timestamp": str(int(now))}
    signatures: list[str] = []
    for secret in secrets:
        request = Request(method="POST", url=None, headers=[(b"content-type", b"application/json")], body=body)
        found = sign(_SCHEME, request, secret=secret.reveal(), now=now, delivery=id)
        signatures.append(dict(found.headers)[_SIGNED].decode())
    return {**told, "webhook-signature": " ".join(signatures)} if signatures else told


def _judge(response: Response) -> None:
    status = response.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status in _PASSING or status >= _SERVER_ERROR:
        raise SinkFailed(f"HTTP {status}", after_s=_after_s(response.headers.get("retry-after", "")))
    if status == HTTPStatus.GONE:
        raise SinkRefused("HTTP 410: the service wants no more messages at this URL; remove the sink, or mend its URL")
    if status < HTTPStatus.BAD_REQUEST:
        raise SinkRefused(f"HTTP {status}: redirects are not followed; name the URL that answers")
    raise SinkRefused(f"HTTP {status}: the service does not take the message")


def _after_s(told: str) -> float | None:
    return min(float(told), _LONGEST_WAIT_S) if told.isdigit() else None
