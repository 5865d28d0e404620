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

_FIGURE = re.compile(
    r"""[#v+-]?[0-9][0-9.,:/+%-]{0,63}|[+-]?[0-9.]{1,32}e[+-]?[0-9]{1,3}  # 7, #7, -1.5, 50%, v1.2.3, 22:13, 1e+20
    |v?[0-9]{1,9}(?:\.[0-9]{1,9}){1,3}-?(?:alpha|beta|rc|dev)\.?[0-9]{0,4}  # v1.2.3-rc.1
    |[0-9]{4}-[0-9]{2}-[0-9]{2}[T\ ][0-9:.]{5,15}(?:Z|\ UTC|[+-][0-9:]{4,5})?  # 2026-03-01T12:00:00Z
    |[0-9a-fA-F]{7,64}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}""",  # of a commit; a UUID
    re.VERBOSE | re.ASCII,
)
_WORD = re.compile(r"(?:[A-Z]?[a-z]{1,12}|[A-Z]{1,12})[0-9]{0,8}")
"""Longer ones, and those with capitals within, may be several."""
_NAME = re.compile(r"(?=.{1,64}$)[a-z0-9]+(?:[_.:/-][a-z0-9]+){0,3}")
"""As providers call events: words of small letters, four at most."""


class Fence(NamedTuple):
    """One pair of tags for one prompt."""

    tag: str
    names: frozenset[str] = frozenset()
    """What stands as it is although it has several words: what the route's owner and the provider have named."""

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

    def value(self, text: str, *, is_alone: bool = True) -> str:
        """Put one value into a sentence: a figure or a short word as it is, anything that may say more between tags.

        is_alone  whether no others follow it that it could make a sentence with: otherwise words have tags too
        """
        if not text or _FIGURE.fullmatch(text) or (is_alone and (text in self.names or _WORD.fullmatch(text))):
            return text
        return self.block(text) if "\n" in text else f"{self.opening}{self._untagged(text)}{self.closing}"

    def _untagged(self, text: str) -> str:
        """Take away our own tags: what was fenced in part, as a captured block of a template, is now as a whole."""
        tags = re.compile(rf"<\s*+/?+\s*+{self.tag}\s*+/?+\s*+>", re.IGNORECASE)  # never back: spaces may be many
        while (left := tags.sub("", text)) != text:  # what stood around one may be another
            text = left
        return text


def is_event_name(text: str) -> bool:
    """Whether it has the form of an event's name, and no room for more than that."""
    return _NAME.fullmatch(text) is not None


def build_fence(seed: bytes, contents: Collection[str], *, names: Collection[str] = ()) -> Fence:
    """Choose a tag that occurs in none of the contents.

    seed      what makes this prompt differ from any other: delivery id and payload
    contents  every text of outsiders that the prompt may hold
    names     what needs no tags
    """
    nonce = hashlib.blake2b(seed, digest_size=_NONCE_BYTES).hexdigest()
    while any(nonce in clean(content) for content in contents):
        nonce = hashlib.blake2b(nonce.encode(), digest_size=_NONCE_BYTES).hexdigest()
    return Fence(f"data-{nonce}", frozenset(names))


def clean(text: str) -> str:
    """Remove what a reader would not see."""
    return _INVISIBLE.sub("", text)


def cut(text: str, limit: int) -> str:
    """Keep at most `limit` characters and say how many are gone."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}[… {len(text) - limit} more characters were cut]"
