"""Really signed requests of every row of the scheme table, built from the row's own columns."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from eventroute.schemes import (
    SCHEMES,
    Key,
    KeyPair,
    Request,
    Scheme,
    Verified,
    fetches_keys,
    generate_secret,
    parse_key,
    sign,
    verify,
)
from eventroute.schemes.source import alternatives

NOW = 1_700_000_000.0
URL = "https://hooks.example.com/hooks/team-a/triage"
ALL_ROWS = tuple(SCHEMES.values())
ROWS = tuple(row for row in ALL_ROWS if not fetches_keys(row))
"""Those that we can sign for; of the others see `support.fetched_keys`."""
SIGNING_ROWS = tuple(row for row in ROWS if row.kind not in {"token", "basic", "none"})
SECRET_ROWS = tuple(row for row in ROWS if row.kind != "none")


class Sent(NamedTuple):
    """A request, and the key that it verifies with."""

    scheme: Scheme
    request: Request
    pair: KeyPair
    key: Key


def sample_document(scheme: Scheme, *, items: int = 1) -> Any:
    """A body with a value wherever the row reads one, distinct ids in a batch's items."""
    root: dict[str, Any] = {}
    batch = [{} for _ in range(items)] if scheme.batch else [root]
    for source in (*scheme.event, *scheme.id):
        place, name = alternatives(source)[0]
        for index, item in enumerate(batch):
            target = item if place == "item" else root
            if place in {"body", "item"}:
                put(target, name, f"id-{index}" if source in scheme.id else "alpha")
    if scheme.batch.startswith("body:"):
        put(root, scheme.batch.removeprefix("body:"), batch)
        return root
    return batch if scheme.batch else root


def put(target: dict[str, Any], path: str, value: Any) -> None:
    """Set a value at a dotted path; `[]` makes a list of one."""
    *steps, last = path.split(".")
    for index, step in enumerate(steps):
        if step == "[]":
            continue
        is_list = [*steps, last][index + 1] == "[]"
        inner = target.setdefault(step, [{}] if is_list else {})
        target = inner[0] if is_list else inner
    target[last] = value


def send(  # noqa: PLR0913  each test names the one thing that it varies
    scheme: Scheme,
    *,
    body: bytes | None = None,
    headers: Sequence[tuple[bytes, bytes]] = (),
    pair: KeyPair | None = None,
    now: float = NOW,
    url: str = URL,
    method: str = "POST",
    event: str = "",
    delivery: str = "",
) -> Sent:
    """Sign a request of a row; the body is a sample unless given."""
    pair = pair or generate_secret(scheme)
    content = msgspec.json.encode(sample_document(scheme)) if body is None else body
    request = Request(method=method, url=url, headers=headers, body=content)
    signed = sign(scheme, request, secret=pair.signing, now=now, event=event, delivery=delivery)
    return Sent(scheme, signed, pair, parse_key(scheme, pair.configured))


def changed(
    request: Request,
    *,
    headers: Sequence[tuple[bytes, bytes]] | None = None,
    body: bytes | None = None,
    url: str | None = None,
    method: str | None = None,
) -> Request:
    """The same request with some parts replaced."""
    return Request(
        method=method or request.method,
        url=url or request.url,
        headers=request.headers if headers is None else headers,
        body=request.body if body is None else body,
    )


def with_header(request: Request, name: bytes, value: bytes) -> Request:
    """The same request with one header set."""
    return changed(request, headers=[*((n, v) for n, v in request.headers if n != name), (name, value)])


def without_header(request: Request, name: bytes) -> Request:
    """The same request without one header."""
    return changed(request, headers=[(n, v) for n, v in request.headers if n != name])


def signature_header(scheme: Scheme) -> bytes:
    """The header that carries a row's signature or credentials; empty where the body does."""
    return header_named(scheme.signature)


def header_named(source: str) -> bytes:
    """The header that a source names first; empty where it names something else."""
    place, name = alternatives(source)[0]
    return name.encode() if place == "header" else b""


def random_texts(count: int) -> list[str]:
    """JSON documents and other texts, the same at each run, none of them empty."""
    chooser = random.Random(20231114)  # repeatable, not secret
    alphabet = 'aZ09 "\\\n\r\t{}[]:,.&=%+/é♥😀\u2028\x00'
    texts = ["".join(chooser.choices(alphabet, k=chooser.randint(1, 60))) for _ in range(count)]
    return [msgspec.json.encode({"type": "a", "text": text}).decode() for text in texts[::2]] + texts[1::2]


def header_texts(request: Request) -> dict[str, str]:
    """The headers as an SDK wants them."""
    return {name.decode(): value.decode("latin-1") for name, value in request.headers}


def is_accepted(sent: Sent, request: Request | None = None, *, now: float | None = NOW) -> bool:
    """Whether our verifier accepts a request with the key that it was signed with."""
    return isinstance(verify(sent.scheme, request or sent.request, [sent.key], now), Verified)
