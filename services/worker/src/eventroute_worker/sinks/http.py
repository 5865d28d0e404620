"""The `http` sink: the answer POSTed to a service of the team's own, as a Standard Webhooks message.

`Idempotency-Key` and `webhook-id` are the same however often an answer is sent; the signature and its time are new with
each attempt. Of the response only the status and `Retry-After` count.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from eventroute.route_table import HttpSink
from eventroute.schemes import SCHEMES, sign
from eventroute.schemes import Request as Signed
from eventroute.secret import Secret
from eventroute_worker.outbound import Answer, Bounds, Request
from eventroute_worker.sinks.asking import Asks, after_s, ask, is_passing, is_success
from eventroute_worker.sinks.model import AsItIs, Result, SinkFailed, SinkGone, SinkRefused
from eventroute_worker.sinks.pace import Pace

TYPE: Final = "eventroute.answer"
"""Of every message; what happened at the provider stands in its `data.event`."""

_SCHEME: Final = SCHEMES["standard-webhooks"]
_SIGNED: Final = b"webhook-signature"
_LOOKED_AT: Final = 1024  # bytes of the answer's body, which says nothing to us


class HttpSinkWriter:
    """Sends answers to services."""

    def __init__(self, way: Asks, *, clock: Callable[[], float] = time.time) -> None:
        """Take the way out."""
        self._way = way
        self._clock = clock

    async def send(self, sink: HttpSink, result: Result) -> None:
        """Send the answer once; raises `SinkFailed` or `SinkRefused`."""
        text = await result.write(sink.message, AsItIs()) if sink.message else result.answer.text
        body = msgspec.json.encode(build_message(sink.name, result, text=text))
        headers = {
            "content-type": "application/json",
            "user-agent": "EventRoute",
            "idempotency-key": result.idempotency_key(sink.name),
            **signed(body, id=result.idempotency_key(sink.name), secrets=sink.secrets, now=self._clock()),
        }
        request = Request("POST", sink.url, headers, body)
        _judge(await ask(self._way, request, Bounds(deadline_s=sink.timeout_s, max_bytes=_LOOKED_AT)))


def pace_of(sink: HttpSink) -> Pace:
    """Tell where a service is: it takes any number, unless it says `Retry-After`."""
    return Pace(f"http {urlsplit(sink.url).netloc}")


def build_message(sink: str, result: Result, *, text: str) -> dict[str, Any]:
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
            "text": text,
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
        unsigned = Signed(method="POST", url=None, headers=[(b"content-type", b"application/json")], body=body)
        found = sign(_SCHEME, unsigned, secret=secret.reveal(), now=now, delivery=id)
        signatures.append(dict(found.headers)[_SIGNED].decode())
    return {**told, "webhook-signature": " ".join(signatures)} if signatures else told


def _judge(answer: Answer) -> None:
    status = answer.status
    if is_success(answer):
        return
    if is_passing(answer):
        raise SinkFailed(f"HTTP {status}", after_s=after_s(answer))
    if status == HTTPStatus.GONE:
        raise SinkGone("HTTP 410: the service wants no more messages at this URL; remove the sink, or mend its URL")
    if answer.is_redirect:
        raise SinkRefused(f"HTTP {status}: redirects are not followed; name the URL that answers")
    raise SinkRefused(f"HTTP {status}: the service does not take the message")
