"""What was asked and what was answered: kept in memory for tests and for people, bounded, without keys."""

import hashlib
from typing import Any, Final

import msgspec

MAX_ENTRIES: Final = 1000  # arbitrary; with the next figure it bounds memory at some tens of MB
_MAX_BYTES: Final = 20_000_000  # of requests; text and body of each are kept
_MAX_ENTRY_BYTES: Final = 1_000_000
_SECRET_HEADERS: Final = frozenset({"authorization", "x-api-key", "cookie", "proxy-authorization"})


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the client got."""

    status: int
    """HTTP status; 0 where the connection was left hanging or was cut before any."""
    fault: str = ""
    """Kind of the scripted fault that decided it."""
    stop_reason: str = ""
    text: str = ""
    """The answer's text, or the error's message."""
    input_tokens: int = 0
    """All of the prompt, however it is billed."""
    output_tokens: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    request_id: str
    received_ns: int
    """Unix time in nanoseconds at which the whole request was here."""
    ended_ns: int = 0
    """The same when the reply was out, or the client gone; 0 = it is under way."""
    client_gone: bool = False
    """The client did not wait for the reply."""
    client: str = ""
    """Address of who asked, in a cluster that of its pod."""
    key: str = ""
    """Tells keys apart, and is of no use to call with; empty where the key is none that is accepted."""
    headers: dict[str, str]
    """Names in lower case; values of keys are replaced by `…`."""
    body_sha256: str
    model: str = ""
    max_tokens: int = 0
    thinking: str = ""
    """`thinking.type`; empty where the request does not say."""
    effort: str = ""
    """`output_config.effort`; the same."""
    stream: bool = False
    system: str = ""
    text: str = ""
    """System and messages; empty where the request could not be read."""
    body: dict[str, Any] = {}
    """The request as it came; empty where it could not be read, or is too large to be kept."""
    given: Given


def key_id(key: str) -> str:
    """Name a key without telling it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def without_keys(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Keep headers for the journal, without what would let a reader call Claude."""
    return {name.lower(): "…" if name.lower() in _SECRET_HEADERS else value for name, value in headers}


class Journal:
    """The latest requests, oldest first."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        """Start empty."""
        self._max_entries = max_entries
        self._entries: dict[str, Entry] = {}
        self._bytes: dict[str, int] = {}
        self._total_bytes = 0

    def add(self, entry: Entry, size: int) -> None:
        """Append an entry and forget the oldest ones beyond the bounds.

        size  bytes of the request's body
        """
        if size > _MAX_ENTRY_BYTES:
            entry = msgspec.structs.replace(entry, system=_cut(entry.system), text=_cut(entry.text), body={})
        self._entries[entry.request_id] = entry
        self._bytes[entry.request_id] = min(size, _MAX_ENTRY_BYTES)
        self._total_bytes += self._bytes[entry.request_id]
        while len(self._entries) > self._max_entries or self._total_bytes > _MAX_BYTES:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            self._total_bytes -= self._bytes.pop(oldest)

    def end(self, request_id: str, ended_ns: int, *, client_gone: bool) -> None:
        """Note when a request's reply was out, or its client gone; the entry may be forgotten by then."""
        if entry := self._entries.get(request_id):
            self._entries[request_id] = msgspec.structs.replace(entry, ended_ns=ended_ns, client_gone=client_gone)

    def entries(self, containing: str = "") -> list[Entry]:
        """List what is kept, where `containing` is given only entries whose text holds it."""
        return [entry for entry in list(self._entries.values()) if containing in entry.text]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes.clear()
        self._total_bytes = 0


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_ENTRY_BYTES else text[:_MAX_ENTRY_BYTES] + "… (cut)"
