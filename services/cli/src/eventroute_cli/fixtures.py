"""Recorded requests as JSON: what `capture` writes, `verify` judges and `replay` sends again.

A file holds a list of objects, or one object. Fields, all but `body` optional:

    id               what reports call the entry
    provider         a row of the scheme table
    scheme           how it is signed, where that is not the provider's row: a row's name, or a recipe of RECIPES
    secret           text as the user configured it, or a list of them; `secret_encoding` says what the text is
    verify_token     what a set-up request must show, where its provider lets it show one
    method, url      `url` is the route's public URL, for providers that sign it
    headers          object of texts or lists of texts, or list of pairs
    body             text, whose UTF-8 bytes are the body; or `body_base64`
    now              Unix seconds of the receipt; null = the age is not judged
    expected         `valid` or `invalid`
    redacted         names of headers that were left out because they held credentials or signatures

Files come from people, so each entry is read on its own and a wrong one is a value, `Unreadable`, not an error.
"""

import base64
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from eventroute.errors import Refused
from eventroute.schemes import SCHEMES, Request, Scheme

Expected = Literal["valid", "invalid"]

RECIPES: Final[Mapping[str, str]] = MappingProxyType({
    "adyen-sig-in-body": "adyen",
    "discord-ed25519": "discord",
    "github-hmac-sha1-legacy": "github-sha1",
    "github-hmac-sha256": "github",
    "grafana-hmac": "grafana",
    "grafana-hmac-ts": "grafana-timestamp",
    "hmac-sha256-hex-raw": "razorpay",
    "hub-hmac-sha256": "bitbucket",
    "hubspot-v3": "hubspot",
    "intercom-hub-sha1": "intercom",
    "linear-hmac-sha256": "linear",
    "mailgun-body": "mailgun",
    "paddle-h1": "paddle",
    "pagerduty-v1": "pagerduty",
    "sanity-b64url-ms": "sanity",
    "sendgrid-ecdsa": "sendgrid",
    "sentry-hmac-sha256": "sentry",
    "shopify-events-hmac-sha256-b64": "shopify-events",
    "shopify-hmac-sha256-b64": "shopify",
    "slack-v0": "slack",
    "square-hmac-sha256": "square",
    "standard-webhooks-v1": "standard-webhooks",
    "standard-webhooks-v1a": "standard-webhooks-ed25519",
    "stripe-v1": "stripe",
    "stripe-v1-dialect": "mux",
    "svix-v1": "svix",
    "twilio-form": "twilio",
    "twilio-json": "twilio",
    "typeform-sha256-b64": "typeform",
    "x-crc-challenge": "x",
    "zendesk-hmac-sha256-b64": "zendesk",
})  # fmt: skip
"""Names of signing recipes in the published vectors → the row that follows each."""

_DECODERS: Final[Mapping[str, Callable[[str], object]]] = {
    "utf8": str,
    "hex": bytes.fromhex,
    "base64": functools.partial(base64.b64decode, validate=True),
    "spki-der-base64-public-key": str,
    "hex-ed25519-public-key": str,
    "whpk-ed25519-public-key": str,
}
"""What may stand in `secret_encoding`; public keys are text that a user pastes as it is."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One recorded request."""

    id: str
    provider: str = ""
    scheme: str = ""
    secrets: tuple[bytes, ...] = ()
    """As written; see `configured_secrets`."""
    encoding: str = "utf8"
    """Of the secrets: `secret_encoding` in the file."""
    verify_token: bytes = b""
    method: str = "POST"
    url: str | None = None
    query: str = ""
    """Where the URL is not the one that was called."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    now: float | None = None
    expected: Expected | None = None
    redacted: tuple[str, ...] = ()

    def request(self) -> Request:
        """The request as a receiver would see it."""
        headers = [(encode_header(name.lower()), encode_header(value)) for name, value in self.headers]
        query = self.query or urlsplit(self.url or "").query
        return Request(method=self.method, url=self.url, headers=headers, body=self.body, query=query)

    def configured_secrets(self, scheme: Scheme) -> list[bytes]:
        """Spell the secrets as a route of this scheme would hold them."""
        if self.encoding == "hex" and scheme.key != "hex":
            return [bytes.fromhex(text.decode()) for text in self.secrets]
        if self.encoding == "base64" and scheme.key not in ("base64", "whsec", "spki"):
            return [base64.b64decode(text) for text in self.secrets]
        return list(self.secrets)

    def row(self) -> Scheme | None:
        """The row that the request was meant for; None = there is none of that name."""
        return SCHEMES.get(RECIPES.get(self.scheme, self.scheme) if self.scheme else self.provider)


class Unreadable(NamedTuple):
    """An entry that says something other than a request."""

    id: str
    message: str
    expected: Expected | None


def read_fixtures(path: Path) -> list[Recorded | Unreadable]:
    """Read a file; raises `Refused` where it is no JSON at all."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: not JSON: {error}; a raw HTTP message needs -f ROUTE or --provider") from error
    entries = document if isinstance(document, list) else [document]
    return [_read(entry, f"#{number}") for number, entry in enumerate(entries, 1)]


def write_fixture(recorded: Recorded) -> bytes:
    """Write one request in the form that `read_fixtures` reads, without secrets."""
    fields: dict[str, Any] = {"id": recorded.id}
    if recorded.provider:
        fields["provider"] = recorded.provider
    fields |= {"method": recorded.method, "url": recorded.url, "headers": _grouped(recorded.headers)}
    try:
        fields["body"] = recorded.body.decode()
    except UnicodeDecodeError:
        fields["body_base64"] = base64.b64encode(recorded.body).decode()
    fields["now"] = recorded.now
    if recorded.redacted:
        fields["redacted"] = list(recorded.redacted)
    return json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n"


def encode_header(value: str) -> bytes:
    """Spell a header's name or value as on the wire: Latin-1 where it can be, else UTF-8, as some clients send it."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


class _WrongError(Exception):
    """A field is not what it should be; it never leaves this module."""


def _read(entry: Any, number: str) -> Recorded | Unreadable:
    if not isinstance(entry, dict):
        return Unreadable(number, "an entry is a JSON object", None)
    id_ = _printable(str(entry["id"])) if entry.get("id") not in (None, "") else number
    expected = _expected(entry.get("expected"))
    try:
        encoding = _text(entry, "secret_encoding") or "utf8"
        return Recorded(
            id=id_,
            provider=_text(entry, "provider"),
            scheme=_text(entry, "scheme"),
            secrets=tuple(_secrets(entry, encoding)),
            encoding=encoding,
            verify_token=_text(entry, "verify_token").encode("utf-8", "surrogatepass"),
            method=_text(entry, "method").upper() or "POST",
            url=_text(entry, "url") or None,
            headers=tuple(_headers(entry.get("headers"))),
            body=_body(entry),
            now=_now(entry.get("now")),
            expected=expected,
            redacted=tuple(str(name) for name in entry.get("redacted") or ()),
        )
    except (_WrongError, TypeError) as error:
        return Unreadable(id_, str(error), expected)


def _printable(text: str) -> str:
    """Replace halves of surrogate pairs, which no terminal can print."""
    return text.encode("utf-8", "replace").decode()


def _expected(value: Any) -> Expected | None:
    if value == "valid":
        return "valid"
    return "invalid" if value == "invalid" else None


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _WrongError(f"{name} must be text")
    return value


def _secrets(entry: Mapping[str, Any], encoding: str) -> Iterator[bytes]:
    if encoding not in _DECODERS:
        raise _WrongError(f"secret_encoding {encoding!r} is unknown; there are {', '.join(_DECODERS)}")
    given = entry.get("secret")
    for text in given if isinstance(given, list) else [] if given is None else [given]:
        if not isinstance(text, str):
            raise _WrongError("secret must be text, or a list of texts")
        try:
            _DECODERS[encoding](text)
        except ValueError as error:
            raise _WrongError(f"secret is not {encoding}") from error
        yield text.encode("utf-8", "surrogatepass")


def _headers(given: Any) -> Iterator[tuple[str, str]]:
    if given is None:
        return
    pairs = list(given.items()) if isinstance(given, dict) else given
    if not isinstance(pairs, list):
        raise _WrongError("headers must be an object, or a list of pairs")
    for pair in pairs:
        match pair:
            case [str() as name, list() as values]:
                yield from ((name, _header(name, value)) for value in values)
            case [str(), None]:
                continue
            case [str() as name, value]:
                yield name, _header(name, value)
            case _:
                raise _WrongError("headers must be an object, or a list of pairs")


def _header(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _WrongError(f"header {name!r} must be text")
    return str(value)


def _grouped(headers: tuple[tuple[str, str], ...]) -> dict[str, str | list[str]]:
    """Write headers as an object; one that stands several times becomes a list."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _body(entry: Mapping[str, Any]) -> bytes:
    if entry.get("body_base64") is not None:
        try:
            return base64.b64decode(_text(entry, "body_base64"), validate=True)
        except ValueError as error:  # base64's own, or that it is not even ASCII
            raise _WrongError("body_base64 is not base64") from error
    if not isinstance(entry.get("body"), str | None):
        raise _WrongError("body must be text: the exact bytes count, so a parsed object does not do")
    try:
        return _text(entry, "body").encode()
    except UnicodeEncodeError as error:
        raise _WrongError("body holds half a surrogate pair; give body_base64") from error


def _now(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _WrongError("now must be Unix seconds, or null")
    try:
        now = float(value)
    except OverflowError:
        now = math.inf
    if not math.isfinite(now):
        raise _WrongError("now must be a finite number")
    return now
