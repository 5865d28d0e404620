"""Sample events of every provider: our own, shaped by the providers' documentation, fresh at each use.

One JSON file per provider: event name → `body`, `headers` (what the provider sends besides signature and type), and
where it differs from JSON `content_type` and a `suffix` after the body. Texts hold marks that are filled in anew each
time, so that no two samples are duplicates of each other:

    {{uuid}}  {{hex}} 32 digits  {{token}} 24 letters and digits  {{number}} 10 digits
    {{now}} Unix seconds  {{now_ms}}  {{time}} RFC 3339

A mark with a name, `{{uuid order}}`, is another value than `{{uuid}}`; equal marks of one sample have equal values. A
text that is nothing but a figure becomes a number.
"""

import re
import secrets
import string
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from eventroute.errors import Refused
from eventroute.schemes import SCHEMES, Request, fetches_keys, sign

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

_SAME_PRODUCT: Final = {
    "github-sha1": "github",
    "hubspot-v1": "hubspot",
    "hubspot-v2": "hubspot",
    "gitlab-token": "gitlab",
    "twilio-sha256": "twilio",
    "standard-webhooks-ed25519": "standard-webhooks",
    "grafana-timestamp": "grafana",
    "alertmanager-basic": "alertmanager",
    "cloudevents-basic": "cloudevents",
    "generic-token": "generic",
    "none": "generic",
}
"""Rows that differ in how they sign, not in what they send."""

_MARK: Final = re.compile(r"\{\{(uuid|hex|token|number|now|now_ms|time)( \w+)?\}\}")
_FIGURE: Final = re.compile(r"\{\{(number|now|now_ms)( \w+)?\}\}")


class Sample(NamedTuple):
    """One event as its provider would send it, before it is signed."""

    provider: str
    event: str
    payload: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...]
    """Without Content-Type."""


class _Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: Any
    headers: dict[str, str] = {}
    content_type: str = JSON
    suffix: str = ""


def sample_events(provider: str) -> tuple[str, ...]:
    """Name the sample events of a provider, the most telling one first; none where only the provider can send.

    raises  `Refused` for an unknown provider
    """
    return tuple(_templates(provider))


def load_sample(provider: str, event: str = "", *, now: float) -> Sample:
    """Make a fresh sample.

    event   one of `sample_events`; empty = the first
    now     Unix time in seconds, for the times in the payload
    raises  `Refused`, naming what there is
    """
    templates = _templates(provider)
    event = event or next(iter(templates), "")
    if event not in templates:
        raise Refused(f"{provider}: no sample of {event!r}; there are {', '.join(templates)}; or give --file")
    template = templates[event]
    fill = _Filler(now)
    body = fill(template.body)
    payload = _encode_form(body) if template.content_type == FORM else msgspec.json.encode(body)
    headers = tuple((name, str(fill(text))) for name, text in template.headers.items())
    return Sample(provider, event, payload + template.suffix.encode(), template.content_type, headers)


def sample_request(provider: str, event: str = "", *, secret: bytes, url: str, now: float) -> Request:
    """Make a fresh, correctly signed request.

    secret  what the sender signs with, `KeyPair.signing`
    url     the route's public URL, for providers that sign it; Twilio adds to its query, see `Request.url`
    """
    sample = load_sample(provider, event, now=now)
    return sign(SCHEMES[provider], build_request(sample, url=url), secret=secret, now=now)


def build_request(sample: Sample, *, url: str | None) -> Request:
    """Put a sample into a request that is not signed yet."""
    headers = (("content-type", sample.content_type), *sample.headers)
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
    return Request(method="POST", url=url, headers=encoded, body=sample.payload)


def _templates(provider: str) -> dict[str, _Template]:
    if provider not in SCHEMES:
        raise Refused(f"unknown provider {provider!r}")
    if fetches_keys(SCHEMES[provider]):
        return {}
    return _read(_SAME_PRODUCT.get(provider, provider))


@cache
def _read(name: str) -> dict[str, _Template]:
    document = files(__name__).joinpath(f"{name}.json")
    if not document.is_file():
        raise Refused(f"{name}: there is no sample; give --file and --event")
    return msgspec.json.decode(document.read_bytes(), type=dict[str, _Template])


def _encode_form(fields: dict[str, Any]) -> bytes:
    """Write a form; a field that is an object is JSON inside it, as in Slack's `payload`."""
    flat = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in fields.items()
    }
    return urlencode(flat).encode()


class _Filler:
    """Fills the marks of one sample."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._values: dict[str, str] = {}

    def __call__(self, value: Any) -> Any:
        match value:
            case dict():
                return {name: self(item) for name, item in value.items()}
            case list():
                return [self(item) for item in value]
            case str():
                filled = _MARK.sub(lambda mark: self._value(mark[0], mark[1]), value)
                return int(filled) if _FIGURE.fullmatch(value) else filled
            case _:
                return value

    def _value(self, mark: str, kind: str) -> str:
        if mark not in self._values:
            self._values[mark] = _KINDS[kind](self._now)
        return self._values[mark]


_ALPHABET: Final = string.ascii_letters + string.digits
_KINDS: Final[dict[str, Callable[[float], str]]] = {
    "uuid": lambda _now: str(uuid.uuid4()),
    "hex": lambda _now: secrets.token_hex(16),
    "token": lambda _now: "".join(secrets.choice(_ALPHABET) for _ in range(24)),
    "number": lambda _now: str(secrets.randbelow(9 * 10**9) + 10**9),
    "now": lambda now: str(int(now)),
    "now_ms": lambda now: str(int(now * 1000)),
    "time": lambda now: datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
}
