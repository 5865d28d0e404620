"""An HTTP request as a text file, such as a proxy or `eventroute send --dry-run` writes it, taken apart.

Line ends may be CRLF or LF up to the empty line; what follows is the body, byte for byte.
"""

from typing import NamedTuple

from eventroute.errors import Refused


class RawRequest(NamedTuple):
    """A message taken apart, nothing decoded but the transfer coding."""

    method: str
    target: str
    """Path and query as in the request line."""
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def url(self) -> str:
        """The URL as the request has it: a guess, as only the sender knows what it signed."""
        host = next((value for name, value in self.headers if name.lower() == "host"), "")
        return self.target if "://" in self.target or not host else f"https://{host}{self.target}"


def parse_request(message: bytes) -> RawRequest:
    """Read a message; raises `Refused` with what is wrong, and where."""
    head, body = _split(message)
    lines = head.decode("latin-1").replace("\r\n", "\n").split("\n")
    request_line = lines[0].split(" ")
    if len(request_line) not in (2, 3) or not request_line[0].isalpha():
        raise Refused('line 1: not a request line; it reads "POST /hooks/shop/payments HTTP/1.1"')
    headers = tuple(_header(line, number) for number, line in enumerate(lines[1:], 2))
    fields = {name.lower(): value for name, value in headers}
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunk(body)
    elif "content-length" in fields:
        body = _cut(body, fields["content-length"])
    return RawRequest(request_line[0].upper(), request_line[1], headers, body)


def _split(message: bytes) -> tuple[bytes, bytes]:
    """Cut at the first empty line, whichever line end it has."""
    message = message.lstrip(b"\r\n")
    ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n", b"\n\r\n") if (at := message.find(mark)) >= 0]
    if not ends:
        return message.rstrip(b"\r\n"), b""
    at, length = min(ends, key=lambda end: end[0] + end[1])
    return message[:at], message[at + length :]


def _header(line: str, number: int) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise Refused(f'line {number}: not a header; it reads "Name: value", and the body begins after an empty line')
    return name, value.strip(" \t")


def _cut(body: bytes, length: str) -> bytes:
    if not (length.isascii() and length.isdigit()):
        raise Refused(f"Content-Length is {length!r}, which is no number")
    if len(body) < int(length):
        raise Refused(f"the body has {len(body)} bytes, and Content-Length says {length}: the end is missing")
    return body[: int(length)]


def _unchunk(body: bytes) -> bytes:
    """Undo the chunked coding; what does not look chunked was decoded by the tool that recorded it."""
    chunks: list[bytes] = []
    rest = body
    while rest:
        size, _, rest = rest.partition(b"\n")
        try:
            length = int(size.partition(b";")[0].strip(), 16)
        except ValueError:
            return body
        if length == 0:
            return b"".join(chunks)
        if not 0 < length <= len(rest):
            return body
        chunks.append(rest[:length])
        rest = rest[length:].removeprefix(b"\r").removeprefix(b"\n")
    return body
