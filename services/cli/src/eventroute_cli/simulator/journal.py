"""What was asked and what was answered: kept in memory for tests and for people, bounded, without keys."""

from collections import deque
from typing import Final

import msgspec

_MAX_ENTRIES: Final = 1000  # arbitrary; with the next figure it bounds memory at some tens of MB
_MAX_TEXT_CHARS: Final = 20_000_000
_MAX_ENTRY_CHARS: Final = 1_000_000
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
    given: Given


def without_keys(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Keep headers for the journal, without what would let a reader call Claude."""
    return {name.lower(): "…" if name.lower() in _SECRET_HEADERS else value for name, value in headers}


class Journal:
    """The latest requests, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._chars = 0

    def add(self, entry: Entry) -> None:
        """Append an entry and forget the oldest ones beyond the bounds."""
        entry = msgspec.structs.replace(entry, system=_cut(entry.system), text=_cut(entry.text))
        self._entries.append(entry)
        self._chars += _chars(entry)
        while len(self._entries) > _MAX_ENTRIES or self._chars > _MAX_TEXT_CHARS:
            self._chars -= _chars(self._entries.popleft())

    def entries(self, containing: str = "") -> list[Entry]:
        """List what is kept, where `containing` is given only entries whose text holds it."""
        return [entry for entry in self._entries if containing in entry.text]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._chars = 0


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_ENTRY_CHARS else text[:_MAX_ENTRY_CHARS] + "… (cut)"


def _chars(entry: Entry) -> int:
    return len(entry.system) + len(entry.text)
