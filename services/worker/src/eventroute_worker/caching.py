"""Whether a call asks the API to cache its static part: the system text, which is the same for all events of a prompt.

A cache write costs a quarter more than plain input, a read a tenth, and what is written lives for five minutes from its
last use. So `auto` marks a prompt once it is asked a second time within five minutes, and goes on while reads are
measured; a read that was expected and did not come begins anew. As an entry exists only once the first answer has
begun, one call at a time writes. The count stands in this process, not in Redis: the entry itself is shared by all
workers of a key, so that each process of an installation pays at most one plain call and one write more than it must,
which is less than a round trip per call is worth.
Source: platform.claude.com/docs/en/build-with-claude/prompt-caching, August 2026.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from eventroute.prompt import Prompt
from eventroute.route_table import ModelCall
from eventroute_worker.answer import Usage

Lifetime = Literal["5m", "1h"]

_LIFETIME_S: Final = 300.0
_BYTES_PER_TOKEN: Final = 4  # of English; where it is fewer the text has more tokens, and is long enough all the same
_MOST_PROMPTS: Final = 1000  # whose traffic is remembered; arbitrary


@dataclass
class _Traffic:
    """What is known of a prompt's static part, in monotonic seconds."""

    called: float = float("-inf")
    """When it was asked last."""
    warm_until: float = float("-inf")
    """How long what is cached of it lives."""
    is_writing: bool = False
    """A call is under way that caches it."""


@dataclass
class Mark:
    """What was decided for one call."""

    lifetime: Lifetime | None = None
    """None = nothing is to be cached."""
    is_warm: bool = False
    """A read is expected."""
    usage: Usage | None = None
    """To be set to what the call used; None = there was no answer."""


class Caching:
    """Decides for each call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no traffic known."""
        self._clock = clock
        self._prompts: OrderedDict[bytes, _Traffic] = OrderedDict()

    @contextmanager
    def deciding(self, call: ModelCall, prompt: Prompt, key: str) -> Iterator[Mark]:
        """Decide whether the call that is made in the block is to cache its static part."""
        if call.cache == "off" or len(prompt.system.encode()) // _BYTES_PER_TOKEN < call.cacheable_from:
            yield Mark()
        elif call.cache != "auto":
            yield Mark(call.cache)
        else:
            yield from self._by_traffic(self._traffic(call, prompt, key))

    def _by_traffic(self, traffic: _Traffic) -> Iterator[Mark]:
        now = self._clock()
        is_frequent, traffic.called = traffic.called > now - _LIFETIME_S, now
        is_warm = traffic.warm_until > now
        writes = is_frequent and not is_warm and not traffic.is_writing
        mark = Mark("5m" if is_warm or writes else None, is_warm)
        traffic.is_writing |= writes
        try:
            yield mark
        finally:
            traffic.is_writing &= not writes
            used = mark.usage
            if used and is_warm and not used.cache_read:
                traffic.called = traffic.warm_until = float("-inf")
            elif used and (used.cache_read or used.cache_write):
                traffic.warm_until = max(traffic.warm_until, now + _LIFETIME_S)

    def _traffic(self, call: ModelCall, prompt: Prompt, key: str) -> _Traffic:
        """Find a prompt by all that its cached part depends on."""
        parts = (key, call.name, call.thinking, call.effort, prompt.output_schema, prompt.system)
        name = hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).digest()
        traffic = self._prompts.setdefault(name, _Traffic())
        self._prompts.move_to_end(name)
        if len(self._prompts) > _MOST_PROMPTS:
            self._prompts.popitem(last=False)
        return traffic
