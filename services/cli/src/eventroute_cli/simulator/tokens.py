"""How many tokens a text has, and which of them a prompt cache knew: a steady estimate, not the tokenizer.

Four bytes of UTF-8 count as one token. That is about right for English and JSON; what matters here is that the same
text always has the same figure.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_BYTES_PER_TOKEN: Final = 4
_LOOKBACK_BLOCKS: Final = 20  # how far before a breakpoint the API looks for a prefix that it knows
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
    """Remembers the prefixes that clients asked to cache. Times are Unix times in seconds."""

    def __init__(self) -> None:
        self._lives: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        """From when to when each prefix is known."""

    def use(
        self, space: str, blocks: Sequence[Block], *, cacheable_from: int, now: float, begins_at: float
    ) -> CacheUse:
        """Split a prompt's tokens into fresh, written and read, and remember its breakpoints until their time ends.

        space           what has to be the same for a prefix to be: key, model, and all settings that change the cache
        cacheable_from  tokens of the shortest prefix that is cached
        begins_at       when the answer begins: a prefix that is only being written is not known yet
        """
        prefixes = list(_prefixes(space, blocks))
        marked = [
            index
            for index, block in enumerate(blocks)
            if block.cache_ttl_s is not None and prefixes[index][1] >= cacheable_from
        ]
        read = max(
            (self._longest_known(prefixes[max(0, index - _LOOKBACK_BLOCKS) : index + 1], now) for index in marked),
            default=0,
        )
        written = {False: 0, True: 0}
        billed = read
        for index in marked:
            digest, tokens = prefixes[index]
            ttl_s = blocks[index].cache_ttl_s or 0
            written[ttl_s > _SHORT_TTL_S] += max(0, tokens - billed)
            billed = max(billed, tokens)
            self._remember(digest, now, begins_at, ttl_s)
        total = prefixes[-1][1] if prefixes else 0
        return CacheUse(fresh=total - billed, written_5m=written[False], written_1h=written[True], read=read)

    def _longest_known(self, prefixes: Sequence[tuple[bytes, int]], now: float) -> int:
        return next((tokens for digest, tokens in reversed(prefixes) if self._is_known(digest, now)), 0)

    def _is_known(self, digest: bytes, now: float) -> bool:
        since, until = self._lives.get(digest, (0.0, 0.0))
        return since <= now < until

    def _remember(self, digest: bytes, now: float, begins_at: float, ttl_s: int) -> None:
        earlier, until = self._lives.get(digest, (begins_at, 0.0))
        since = min(earlier, begins_at) if now < until else begins_at
        self._lives[digest] = (since, now + ttl_s)
        self._lives.move_to_end(digest)
        if len(self._lives) > _MAX_CACHED_PROMPTS:
            self._lives.popitem(last=False)


def _prefixes(space: str, blocks: Sequence[Block]) -> Iterator[tuple[bytes, int]]:
    """Yield digest and tokens of the prompt up to each block."""
    digest, total = hashlib.sha256(space.encode()), 0
    for block in blocks:
        digest.update(f"\0{block.role}\0{block.text}".encode("utf-8", "surrogatepass"))
        total += estimate_tokens(block.text)
        yield digest.digest(), total
