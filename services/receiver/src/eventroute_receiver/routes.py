"""A route made ready to judge requests: keys parsed, expressions compiled once, when the table entry arrives."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from eventroute.errors import Refused
from eventroute.expression import Expression, compile_expression
from eventroute.hops import Markers, markers
from eventroute.redact import Steps, build_steps
from eventroute.route_table import ReceiverRoute
from eventroute.schemes import (
    Key,
    KeyRefused,
    Request,
    Scheme,
    accepts,
    comes_early,
    credential_paths,
    is_worded,
    parse_key,
    sensitive_headers,
    telling_headers,
)

_OF_THE_CONNECTION: Final = frozenset(
    {b"host", b"connection", b"content-length", b"transfer-encoding", b"accept-encoding", b"expect"}
)


@dataclass(frozen=True, slots=True)
class Hook:
    """What a request for one path is judged by."""

    route: ReceiverRoute
    keys: tuple[Key, ...]
    verify_token: bytes
    """What a set-up request must show; empty = none is answered that would have to."""
    sets_up_early: bool
    """Whether the provider asks something of the webhook before it proves who it is."""
    has_words: bool
    """Whether the provider wants to read anything in particular in the answer to what was accepted."""
    looks_into_events: bool
    """Whether expressions need the events' values, which are not decoded otherwise."""
    filter: Expression | None
    entity: Expression | None
    """Names whom an event is about; None where admission need not know."""
    own_actors: frozenset[bytes]
    """Whose events are our own actions."""
    markers: Markers
    """Tell how many answers of ours stand behind an event."""
    dropped_headers: frozenset[bytes]
    """Lower-case names of headers that are not kept: secrets, and what says nothing of the event."""
    kept_headers: frozenset[bytes] | None
    """Lower-case names of those that are, unless they are dropped; None = any."""
    redacted_headers: frozenset[bytes]
    """Lower-case names of headers whose values are not kept."""
    redacted_payload: Steps | None
    """None = the payload is kept as it came."""

    def signed_url(self, query: bytes) -> str | None:
        """Build the URL as the provider signs it: the configured one, never what the request says of itself."""
        url = self.route.public_url
        return f"{url}?{query.decode('latin-1')}" if url and query and "?" not in url else url

    def unsupported(self, request: Request) -> str | None:
        """Tell why a body of this kind is not for this provider; None when it is."""
        if not accepts(self.route.scheme, request):
            return "media_type"
        encoding = request.fields.get(b"content-encoding")
        if encoding is not None and encoding.strip().lower() != b"identity":
            return "encoding"  # a bomb if we unpacked it; and signatures cover the bytes on the wire
        return None


@functools.lru_cache(maxsize=1024)
def _one_of_equal(scheme: Scheme) -> Scheme:
    """Keep one object for all routes of a provider: what is prepared per scheme is then found without comparing it."""
    return scheme


def _of_the_event(scheme: Scheme, named: Iterable[str]) -> frozenset[bytes]:
    """Choose what is kept where a route names headers: these, and what the provider says of the event in others."""
    return frozenset(name.encode() for name in ("content-type", *telling_headers(scheme), *named))


def prepare(route: ReceiverRoute) -> Hook:
    """Make a table entry ready; raises `Refused` when it cannot serve."""
    route = msgspec.structs.replace(route, scheme=_one_of_equal(route.scheme))
    redacted = (*route.redact.payload, *credential_paths(route.scheme))
    try:
        parsed = tuple(parse_key(route.scheme, secret.reveal()) for secret in route.secrets)
    except KeyRefused as error:
        raise Refused(f"route {route.path}: {error}") from error
    return Hook(
        route=route,
        keys=parsed,
        verify_token=route.verify_token.reveal() if route.verify_token else b"",
        sets_up_early=comes_early(route.scheme),
        has_words=is_worded(route.scheme),
        looks_into_events=route.filter is not None or route.entity is not None,
        filter=compile_expression(route.filter) if route.filter else None,
        entity=compile_expression(route.entity) if route.entity else None,
        own_actors=frozenset(name.encode() for name in route.own_actors),
        markers=markers(route.marker_key),
        dropped_headers=_OF_THE_CONNECTION | {name.encode() for name in sensitive_headers(route.scheme)},
        kept_headers=None if route.headers is None else _of_the_event(route.scheme, route.headers),
        redacted_headers=frozenset(name.encode() for name in route.redact.headers),
        redacted_payload=build_steps(redacted) if redacted else None,
    )
