"""The request as verification and reading see it, and its body, parsed at most once. Knows no provider.

JSON is checked as a whole and opened one level at a time, where somebody looks: of a payload of many kilobytes a row
names three or four values. Decoding all of it takes four times as long for a small body, and a third of a second, in
which nobody else is served, for 16 MiB of small objects.

Everything here answers None or a reason for malformed input; nothing raises.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec

from eventroute.payload import Opened, Unparsable, open_json, open_part

_JSON: Final = b"application/json"
_OTHERS: Final[dict[bytes, Literal["form", "text"]]] = {
    b"application/x-www-form-urlencoded": "form",
    b"text/plain": "text",
}
_MAX_FORM_FIELDS: Final = 1000  # arbitrary; Twilio sends some forty
_MAX_PARAMETERS: Final = 16  # the same of a query; Meta sends three

_encode_json = msgspec.json.Encoder().encode


class Document(msgspec.Struct, frozen=True):
    """A parsed body."""

    value: Opened | dict[str, Any]
    """What `at` looks into: opened JSON, or a form as an object of strings."""
    payload: bytes
    """JSON: the body, a form's `payload`, or a form as an object of strings."""
    fields: tuple[tuple[str, str], ...] = ()
    """A form's fields in the order sent."""


class Request:
    """One HTTP request, as received.

    method   upper case
    url      the route's public URL, with the request's query string where the configured one has none; None where the
             route has none. Never taken from `Host` or `X-Forwarded-*`
    headers  pairs as in ASGI: names in lower case, values raw
    body     exactly as received; may be set once it has arrived, before anything reads it
    query    the query string as received
    """

    __slots__ = ("body", "fields", "headers", "method", "parsed", "query", "url")

    def __init__(
        self,
        *,
        method: str,
        url: str | None,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        query: str = "",
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.query = query
        self.fields = _once(headers)
        self.parsed: Document | Unparsable | None = None


def _once(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Index the headers that stand exactly once: of two signatures or ids, neither can be believed."""
    fields = dict(headers)
    if len(fields) != len(headers):
        seen: set[bytes] = set()
        for name, _ in headers:
            if name in seen:
                fields.pop(name, None)
            seen.add(name)
    return fields


def media_type(headers: dict[bytes, bytes]) -> Literal["json", "form", "text"] | None:
    """Tell the media types of webhooks apart; no Content-Type counts as JSON, any other is None."""
    declared = headers.get(b"content-type", _JSON)
    if declared == _JSON:
        return "json"
    essence = declared.partition(b";")[0].strip().lower()
    if essence == _JSON or (essence.startswith(b"application/") and essence.endswith(b"+json")):
        return "json"
    return _OTHERS.get(essence)


def parse_form(body: bytes) -> tuple[tuple[str, str], ...] | Unparsable:
    """Decode a form's fields in their order."""
    try:
        return tuple(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FORM_FIELDS))
    except ValueError:
        return Unparsable("not a valid form")


def parameter(request: Request, name: str) -> bytes | None:
    """Fetch a parameter of the query that stands exactly once; of two values, neither can be believed."""
    try:
        fields = parse_qsl(request.query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        return None
    found = [value for key, value in fields if key == name]
    return found[0].encode("utf-8", "surrogatepass") if len(found) == 1 else None


def form_object(fields: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Turn fields into an object; a repeated field becomes the list of its values, so that nothing is lost."""
    found: dict[str, Any] = {}
    for name, value in fields:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def document(request: Request, form: str) -> Document | Unparsable:
    """Parse the body by its media type, the first time; later calls return the same result.

    form  what a form body means to the scheme, see `FormUse`
    """
    if request.parsed is None:
        request.parsed = _parse(request, form)
    return request.parsed


def _parse(request: Request, form: str) -> Document | Unparsable:
    media = media_type(request.fields)
    if media == "json" or media == form == "text":
        return _document(request.body)
    if media != "form" or form in {"refused", "text"}:
        return Unparsable("unsupported media type")
    if request.body.lstrip()[:1] in (b"{", b"["):  # form encoders escape these
        return Unparsable("JSON declared as a form")
    fields = parse_form(request.body)
    if isinstance(fields, Unparsable):
        return fields
    payloads = [value for name, value in fields if name == "payload"]
    if form == "fields" or (form == "payload-or-fields" and not payloads):
        found = form_object(fields)
        return Document(found, _encode_json(found), fields)
    if len(payloads) != 1:
        return Unparsable("a form needs exactly one payload field")
    return _document(payloads[0].encode(), fields)


def _document(body: bytes, fields: tuple[tuple[str, str], ...] = ()) -> Document | Unparsable:
    opened = open_json(body)
    return opened if isinstance(opened, Unparsable) else Document(opened.value, opened.text, fields)


def at(value: Any, path: tuple[str, ...]) -> Any:
    """Walk into opened or decoded JSON; None where the path leads nowhere. `[]` is the only element of a list."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif step == "[]" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        else:
            return None
        if isinstance(value, msgspec.Raw):
            value = open_part(value)
    return value


def as_text(value: Any) -> str | None:
    """Spell a scalar as providers sign and print it; None for null, objects and lists."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return None
