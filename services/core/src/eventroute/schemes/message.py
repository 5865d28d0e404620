"""The bytes that a provider signs, put together from a row's `signed` parts. Knows nothing of keys."""

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

from eventroute.outcome import Refusal
from eventroute.payload import Unparsable
from eventroute.schemes.derived import SNS_SIGNED
from eventroute.schemes.model import Scheme
from eventroute.schemes.request import Document, Request, at, document, media_type, parse_form
from eventroute.schemes.source import alternatives, getter

MAX_UNVERIFIED_BODY: Final = 1 << 20
"""Where the signature stands inside the body, this much is parsed before anything is proven, bytes."""

Message = Callable[[Request], tuple[bytes, ...] | Refusal]
"""The signed bytes: one spelling, or several where a provider's spelling of the URL is not certain."""

_Part = Callable[[Request, str], bytes | Refusal]

# developers.hubspot.com/docs/guides/apps/authentication/validating-requests: the escapes that v3 decodes, and no other
_HUBSPOT_ESCAPE: Final = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
_ORIGIN: Final = re.compile(r"(https?)://([^/?#]*?)(:\d{1,5})?(?=[/?#]|$)")


def message_builder(scheme: Scheme) -> Message:
    """Compile a row's signed parts into one function."""
    if scheme.signed == ("body",):
        return lambda request: (request.body,)
    parts = [_part(scheme, text) for text in scheme.signed]
    signs_url = "url" in scheme.signed

    def build(request: Request) -> tuple[bytes, ...] | Refusal:
        if signs_url and request.url is None:
            return Refusal.MISMATCH  # the route would not have been compiled without its public URL
        spelled = url_spellings(scheme, request.url or "")
        messages = [_join(parts, request, url) for url in spelled]
        refused = [message for message in messages if isinstance(message, Refusal)]
        return refused[0] if refused else tuple(message for message in messages if not isinstance(message, Refusal))

    return build


def parses_before_verifying(scheme: Scheme) -> bool:
    """Whether the signature, or what it covers, stands inside the parsed body."""
    return not {"twilio-body", "sns-body"}.isdisjoint(scheme.signed) or any(
        text.startswith(("body:", "item:")) for text in (scheme.signature, *scheme.signed)
    )


def url_spellings(scheme: Scheme, url: str) -> tuple[str, ...]:
    """Spell the public URL in each way in which the provider may have signed it."""
    if scheme.url == "hubspot":
        return (_HUBSPOT_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), url),)
    origin = _ORIGIN.match(url)
    if scheme.url == "exact" or origin is None:
        return (url,)
    name, host, port = origin.groups()
    rest = url[origin.end() :]
    port = port or (":443" if name == "https" else ":80")
    return (f"{name}://{host}{rest}", f"{name}://{host}{port}{rest}")


def _join(parts: list[_Part], request: Request, url: str) -> bytes | Refusal:
    pieces = []
    for part in parts:
        piece = part(request, url)
        if isinstance(piece, Refusal):
            return piece
        pieces.append(piece)
    return b"".join(pieces)


def _part(scheme: Scheme, text: str) -> _Part:
    if text.startswith("text:"):
        literal = text.removeprefix("text:").encode()
        return lambda _request, _url: literal
    match text:
        case "body":
            return lambda request, _url: request.body
        case "method":
            return lambda request, _url: request.method.encode("utf-8", "surrogatepass")
        case "url":
            return lambda _request, url: url.encode("utf-8", "surrogatepass")
        case "twilio-body":
            return lambda request, _url: _twilio_body(request)
        case "sns-body":
            return lambda request, _url: _sns_body(request)
        case "timestamp":
            return _value(scheme, scheme.timestamp, optional=False)
        case _:
            return _value(scheme, text.removesuffix("?"), optional=text.endswith("?"))


def _value(scheme: Scheme, source: str, *, optional: bool) -> _Part:
    get = getter(scheme, source)
    in_header = alternatives(source)[0].place in {"header", "signature"}
    absent = Refusal.MISSING_HEADER if in_header else Refusal.BODY_UNPARSEABLE

    def value(request: Request, _url: str) -> bytes | Refusal:
        found = get(request, None)
        if found is not None:
            return found
        return b"" if optional else absent

    return value


def _twilio_body(request: Request) -> bytes | Refusal:
    """Spell a form as its sorted, de-duplicated parameters; any other body stands and falls with its hash in the URL.

    A hash in the URL binds a form too: else the signature of a JSON request would fit an empty form.
    """
    query = (request.url or "").partition("?")[2]
    hashes = [value for name, value in _fields(query.encode("utf-8", "surrogatepass")) if name == "bodySHA256"]
    if hashes and not hmac.compare_digest(_sha256_hex(request.body), ",".join(hashes).encode()):
        return Refusal.MISMATCH
    if media_type(request.fields) != "form":
        return b"" if hashes else Refusal.MISSING_HEADER
    parsed = document(request, "fields")
    if not isinstance(parsed, Document):
        return Refusal.BODY_UNPARSEABLE
    return "".join(name + value for name, value in sorted(set(parsed.fields))).encode()


_SNS_NEEDED: Final = frozenset({"Message", "MessageId", "Timestamp", "TopicArn", "Type"})


def _sns_body(request: Request) -> bytes | Refusal:
    """Spell a message as AWS signs it: the names of its parts and their texts, a line each; what is null is absent.

    docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
    """
    parsed = document(request, "text")
    if not isinstance(parsed, Document):
        return Refusal.BODY_UNPARSEABLE
    pieces: list[str] = []
    for name in SNS_SIGNED:
        value = at(parsed.value, (name,))
        if isinstance(value, str):
            pieces.append(f"{name}\n{value}\n")
        elif value is not None or name in _SNS_NEEDED:
            return Refusal.BODY_UNPARSEABLE
    return "".join(pieces).encode()


def _fields(query: bytes) -> tuple[tuple[str, str], ...]:
    fields = parse_form(query)
    return () if isinstance(fields, Unparsable) else fields


def _sha256_hex(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
