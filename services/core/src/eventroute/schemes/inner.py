"""Messages within messages: where a body holds one as text, an expression or a template sees what is in it."""

from collections.abc import Callable
from typing import Any

import msgspec

from eventroute.payload import Json, Unparsable, open_json, open_part
from eventroute.schemes.key import decode_base64
from eventroute.schemes.model import Scheme
from eventroute.schemes.request import Document, at


def unwrapper(scheme: Scheme) -> Callable[[Document], Document] | None:
    """Build the function that puts a message, where it is JSON, or was base64, in the place of the text that holds it.

    What cannot be read stays as it was sent.
    """
    form, _, path = scheme.inner.partition(":")
    steps = tuple(path.split("."))

    def unwrap(found: Document) -> Document:
        text = at(found.value, steps)
        raw = text.encode() if isinstance(text, str) else None
        message = decode_base64(raw) if raw and form == "base64" else raw
        if not message:
            return found
        inner = open_json(message) if message.lstrip()[:1] in (b"{", b"[") else None
        if isinstance(inner, Json):
            content = inner.text
        elif form == "base64" and (plain := _text(message)) is not None:
            content = msgspec.json.encode(plain)
        else:
            return found
        whole = open_json(_with(found.value, steps, content))
        return found if isinstance(whole, Unparsable) else Document(whole.value, whole.text)

    return unwrap if scheme.inner else None


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _with(value: Any, path: tuple[str, ...], content: bytes) -> bytes:
    """Write opened JSON with a value, which is there, replaced: its neighbours stay the bytes that were received."""
    step, *rest = path
    inner = _with(open_part(value[step]), tuple(rest), content) if rest else content
    return msgspec.json.encode({**value, step: msgspec.Raw(inner)})
