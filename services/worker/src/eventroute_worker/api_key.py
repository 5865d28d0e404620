"""The worker's own Claude key, and what a key is called where it must not be told.

A key that comes from a file is read again when the file changes, and after the API has refused it: a key is replaced
without a restart. What cannot be read leaves the last key in use; the API says what is wrong with it.
"""

import hashlib
import time
from pathlib import Path
from typing import Final

import structlog

from eventroute.secret import Secret

_LOOK_S: Final = 1.0  # between two looks at the file: cheap, and sooner than anybody sees the effect of a new key
_log = structlog.get_logger()


def key_text(key: Secret | None) -> str:
    """Read a key as it goes into a header; Secrets often end with a line break."""
    return key.reveal().decode(errors="replace").strip() if key else ""


def key_id(key: Secret | None) -> str:
    """Name a key without telling it: 16 hex digits, empty without a key."""
    text = key_text(key)
    return hashlib.blake2b(text.encode(), digest_size=8, person=b"eventroute").hexdigest() if text else ""


class OwnKey:
    """The key of routes without one of their own."""

    def __init__(self, key: Secret | None, file: Path | None = None, *, look_s: float = _LOOK_S) -> None:
        """Take the key as it was at the start, and where it came from.

        file    None = it does not change
        look_s  the least time between two looks at the file
        """
        self._key = key
        self._file = file
        self._look_s = look_s
        self._looked = float("-inf")
        self._seen: tuple[int, int, int] | None = None
        self._is_readable = True

    def current(self) -> Secret | None:
        """Return the key as it is now."""
        if self._file is not None and time.monotonic() >= self._looked + self._look_s:
            self._looked = time.monotonic()
            self._look(self._file)
        return self._key

    def distrust(self) -> None:
        """Read the file anew at the next use, even if it looks the same."""
        self._looked, self._seen = float("-inf"), None

    def _look(self, file: Path) -> None:
        try:
            found = file.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen == self._seen:
                return
            data = file.read_bytes()
        except OSError as error:
            if self._is_readable:
                _log.warning("claude_key_unreadable", file=str(file), error=error.strerror)
            self._is_readable = False
            return
        self._is_readable = True
        self._seen = seen  # of before the reading: a change in between is seen at the next look
        key = Secret(data)
        if key_text(key) and key_id(key) != key_id(self._key):
            self._key = key
            _log.info("claude_key_changed", file=str(file), key_id=key_id(key))
