"""How text that outsiders wrote stands in a prompt: between tags that it cannot close, cleaned, and cut if it is long.

The tag carries a nonce derived from the content itself, so the same delivery gives the same prompt at each attempt, yet
nobody can write the closing tag into a payload: that would change the nonce.
"""

import hashlib
import re
from collections.abc import Collection
from typing import Final, NamedTuple

_NONCE_BYTES: Final = 8

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""What a person who reads the event does not see, and a model does: control characters but tab and line ends, and what
Unicode calls default ignorable (soft hyphens, direction marks, fillers, tags, selectors of variants). The zero-width
joiners and the two selectors of emoji stay, as scripts and emoji need them."""

_BARE = re.compile(r"[A-Za-z0-9_.@:/#+=-]{0,64}")
"""Numbers, names and identifiers: too short and too plain to hold a sentence."""


class Fence(NamedTuple):
    """One pair of tags for one prompt."""

    tag: str

    @property
    def opening(self) -> str:
        """What stands before the text."""
        return f"<{self.tag}>"

    @property
    def closing(self) -> str:
        """What stands after the text."""
        return f"</{self.tag}>"

    def block(self, text: str) -> str:
        """Put text between the tags, on lines of its own."""
        return f"{self.opening}\n{self._untagged(text)}\n{self.closing}"

    def value(self, text: str) -> str:
        """Put one value into a sentence: an identifier as it is, anything that could hold a sentence between tags."""
        if _BARE.fullmatch(text):
            return text
        return self.block(text) if "\n" in text else f"{self.opening}{self._untagged(text)}{self.closing}"

    def _untagged(self, text: str) -> str:
        """Take away our own tags: what was fenced in part, as a captured block of a template, is now as a whole."""
        tags = re.compile(rf"<\s*+/?+\s*+{self.tag}\s*+/?+\s*+>", re.IGNORECASE)  # never back: spaces may be many
        while (left := tags.sub("", text)) != text:  # what stood around one may be another
            text = left
        return text


def build_fence(seed: bytes, contents: Collection[str]) -> Fence:
    """Choose a tag that occurs in none of the contents.

    seed      what makes this prompt differ from any other: delivery id and payload
    contents  every text of outsiders that the prompt may hold
    """
    nonce = hashlib.blake2b(seed, digest_size=_NONCE_BYTES).hexdigest()
    while any(nonce in clean(content) for content in contents):
        nonce = hashlib.blake2b(nonce.encode(), digest_size=_NONCE_BYTES).hexdigest()
    return Fence(f"data-{nonce}")


def clean(text: str) -> str:
    """Remove what a reader would not see."""
    return _INVISIBLE.sub("", text)


def cut(text: str, limit: int) -> str:
    """Keep at most `limit` characters and say how many are gone."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}[… {len(text) - limit} more characters were cut]"
