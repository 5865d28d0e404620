"""How many tokens a text has, and which of them a prompt cache knew: a steady estimate, not the tokenizer.

Four bytes of UTF-8 count as one token. That is about right for English and JSON; what matters here is that the same
text always has the same figure.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

_BYTES_PER_TOKEN: Final = 4
MIN_CACHEABLE_TOKENS: Final = 1024  # the smallest prompt that the API caches; larger for some models
_SHORT_TTL_S: Final = 300  # the API has two lifetimes, five minutes and an hour
_MAX_CACHED_PROMPTS: Final = 4096  # arbitrary: bounds memory, far above what a laptop's routes need


class Block(NamedTuple):
    """One piece of a prompt."""

    role: str
    """`tools`, `system`, `user` or `assistant`."""
    text: str
    cache_ttl_s: int | None
    """The client marked the end of this block as a cache breakpoint."""


class CacheUse(NamedTuple):
    """Input tokens by how they are billed; together they are the prompt."""

    fresh: int
    written_5m: int
    written_1h: int
    read: int


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text; 0 only for nothing."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def count_tokens(blocks: Sequence[Block]) -> int:
    """Estimate the tokens of a prompt."""
    return sum(estimate_tokens(block.text) for block in blocks)


class PromptCache:
    """Remembers the prefixes that clients asked to cache."""

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def use(self, model: str, blocks: Sequence[Block], now: float) -> CacheUse:
        """Split a prompt's tokens into fresh, written and read, and remember its breakpoints until their time ends.

        now  Unix time in seconds
        """
        digest = hashlib.sha256(model.encode())
        total = read = marked = ttl_s = 0
        for block in blocks:
            digest.update(f"\0{block.role}\0{block.text}".encode("utf-8", "surrogatepass"))
            total += estimate_tokens(block.text)
            if block.cache_ttl_s is None or total < MIN_CACHEABLE_TOKENS:
                continue
            marked, ttl_s = total, block.cache_ttl_s
            if self._known(digest.digest(), now):
                read = total
            self._remember(digest.digest(), now + block.cache_ttl_s)
        written = marked - read
        is_long = ttl_s > _SHORT_TTL_S
        return CacheUse(total - marked, 0 if is_long else written, written if is_long else 0, read)

    def _known(self, prefix: bytes, now: float) -> bool:
        return self._until.get(prefix, 0.0) > now

    def _remember(self, prefix: bytes, until: float) -> None:
        self._until[prefix] = until
        self._until.move_to_end(prefix)
        if len(self._until) > _MAX_CACHED_PROMPTS:
            self._until.popitem(last=False)
