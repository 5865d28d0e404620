"""Hops: how many answers of ours stand behind an event, told by markers in what was written with those answers.

Whoever writes an answer where a provider sees it writes its marker too, `eventroute-hop-02-` and 16 characters, and the
event that this causes brings it back. It survives Markdown, HTML comments, JSON, Slack's text and the encoding of
forms and URLs as it is, since it has only what none of them changes: lower-case letters, digits, single hyphens. So it
is looked for in the bytes of a body, wherever in it it stands.

The 16 characters are a keyed hash of the number: nobody who lacks the installation's key can make one, and so nobody
can end our work by writing a high number. One that we have written can be copied; it counts for what it says, which is
never more than the hops that were made.
"""

import base64
import hashlib
import hmac
import re
from functools import lru_cache
from typing import Final

from eventroute.secret import Secret

_BEGIN: Final = "eventroute-hop-"
_BEGIN_BYTES: Final = _BEGIN.encode()
_REST: Final = "[0-9]{2}-[a-z2-7]{16}"
_MARKER: Final = re.compile(f"{_BEGIN}(?=({_REST}))".encode())  # what looks like one hides none that begins within it
_OWN: Final = "eventroute-own-"
_OWN_REST: Final = "[a-z2-7]{16}"
_SHOWN: Final = re.compile(
    f"<!-- {_OWN}{_OWN_REST} [0-9]+(?: {_BEGIN}{_REST})? -->|<!-- ?{_BEGIN}{_REST} ?-->"
    f"|{_BEGIN}{_REST}|{_OWN}{_OWN_REST}"
)
_TAG_BYTES: Final = 10
"""80 bits: a guess a microsecond would take a billion years."""

MOST: Final = 99
"""What two digits can say; limits end far below it."""

MARKERS: Final = "markers"
"""For which purpose their key is derived, of the receivers' table key by whoever publishes the tables."""


class Markers:
    """The markers of one installation."""

    def __init__(self, key: Secret) -> None:
        """Take the installation's key; an empty one, of a publisher that knows of none, makes and knows no marker."""
        numbers = range(1, MOST + 1) if key.reveal() else ()
        self._key = key
        self._written = {hops: _marker(key, hops) for hops in numbers}
        # Looked up by its hash, which is random in each process: time tells a guesser nothing.
        self._hops = {marker.encode().removeprefix(_BEGIN_BYTES): hops for hops, marker in self._written.items()}

    def write(self, hops: int) -> str:
        """Write the marker for what stands behind so many answers, the one that it goes with included."""
        return self._written.get(min(hops, MOST), "")

    def own_name(self, what: str) -> str:
        """Name what answers are written to, so that it is found again as ours: nobody else can make the name up."""
        return _OWN + _tag(self._key, f"own\0{what}")

    def count(self, text: bytes) -> int:
        """Find the most hops that genuine markers in a text tell; 0 without any."""
        if not may_have(text):
            return 0
        return max((self._hops.get(found, 0) for found in _MARKER.findall(text)), default=0)


@lru_cache(maxsize=8)
def markers(key: Secret) -> Markers:
    """Keep one object for all routes: their key is the same."""
    return Markers(key)


def may_have(text: bytes) -> bool:
    """Tell whether a look for markers is worth it: for nearly all bodies it is not, and this is all that they pay."""
    return _BEGIN_BYTES in text


def unmarked(text: str) -> str:
    """Take all markers and own names out of a text, genuine or not, lest whoever reads it writes them elsewhere.

    A space takes their place, so that what stood around one does not become another.
    """
    return _SHOWN.sub(" ", text) if _BEGIN in text or _OWN in text else text


def _marker(key: Secret, hops: int) -> str:
    number = f"{hops:02}"
    return f"{_BEGIN}{number}-" + _tag(key, f"hop\0{number}")


def _tag(key: Secret, what: str) -> str:
    digest = hmac.digest(key.reveal(), what.encode(), hashlib.sha256)[:_TAG_BYTES]
    return base64.b32encode(digest).decode().lower()
