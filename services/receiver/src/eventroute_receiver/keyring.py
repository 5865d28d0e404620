"""Providers' public keys, fetched beside the requests that need them, and the addresses that confirm subscriptions.

A request never fetches. It asks for a key that is at hand, else has its fetching started, waits for a moment, and is
told to come back: the key may be genuine, and a sender who is refused may never send again. Once the provider has said
that it has no such key, that is believed for a while, and the request is refused.

Strangers can name addresses, if only those that a row allows. So documents are few and small, fetching has a rate, and
what failed is not tried again at once. Keys that are in use are fetched anew before they are needed, as often as their
server says, and go on counting for a day when that fails. Nothing is kept on disk: a new process fetches again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import structlog

from eventroute.errors import RetryLater
from eventroute.schemes import Absent, KeyName, PublicKey, Scheme, parse_keys
from eventroute_receiver import metrics
from eventroute_receiver.fetch import Fetch

WAIT_S: Final = 1.0
"""How long a request waits for what it needs: a fetch takes a tenth of that, and providers wait for 10 s and more."""
ABSENT_S: Final = 60.0
"""How long it is believed that a provider does not have a key. Arbitrary: it shows a new one for hours before it uses
it."""

_MOST_ENTRIES: Final = 256  # arbitrary; AWS has a certificate for each region, Google one set of keys
_MOST_VISITED: Final = 256  # arbitrary; a subscription is confirmed once
_MOST_WAITING: Final = 100  # requests at once, each a connection and a body; arbitrary
_BURST: Final = 16  # fetches that requests may start at once: a certificate of each region, after a start; arbitrary
_PER_SECOND: Final = 0.5  # and in the long run; arbitrary
_FRESH_S: Final = 3600.0  # what a server says nothing of
_SHORTEST_S: Final = 60.0
_LONGEST_S: Final = 86_400.0
_OVERDUE_S: Final = 86_400.0  # how long a key outlives its freshness while its server is away; arbitrary
_UNUSED_S: Final = 604_800.0  # when nobody has asked for it for so long, nobody needs it fresh; arbitrary
_AGAIN_S: Final = 10.0  # after a failure, of each address; less than AWS waits before it sends again
_LOOK_S: Final = 2.0
_TOLD_S: Final = 1.0

_Outcome = Literal["fetched", "absent", "failed", "limited"]

_log = structlog.get_logger()


@dataclass(slots=True)
class _Entry:
    """What stood at an address when it was last looked at."""

    scheme: Scheme
    keys: Mapping[str, PublicKey]
    """Empty where there is no document."""
    fetched_at: float
    due_at: float
    used_at: float


class Keyring:
    """The keys that are at hand."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        needed: Callable[[], Iterable[Scheme]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without any.

        needed  the schemes of the routes that are served: a set of keys that one names is fetched before anybody asks
        """
        self._fetch = fetch
        self._needed = needed
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._visited: dict[str, None] = {}  # in the order in which they were
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}  # of addresses that failed
        self._left, self._left_at = float(_BURST), clock()  # fetches that requests may start
        self._waiting = 0
        self._told_at = -_TOLD_S

    def find(self, name: KeyName) -> PublicKey | Absent | None:
        """Find a key, as `eventroute.schemes.Ring` says; any thread may ask."""
        now, entry = self._clock(), self._entries.get(name.url)
        if entry is None or now > entry.due_at + _OVERDUE_S:
            return None
        key = entry.keys.get(name.id)
        if key is not None:
            entry.used_at = now
            return key
        return Absent.ABSENT if now < entry.fetched_at + ABSENT_S else None

    async def want(self, scheme: Scheme, name: KeyName) -> None:
        """Have a key fetched that is not at hand, and wait for it for a moment."""
        await self._wait(self._start(scheme, name.url, self._load, is_asked=True))

    async def visit(self, scheme: Scheme, url: str) -> bool:
        """Have an address visited that confirms something, and tell whether that has been done."""
        if url not in self._visited:
            await self._wait(self._start(scheme, url, self._confirm, is_asked=True))
        return url in self._visited

    async def run(self) -> None:
        """Keep what is needed fresh, for ever; when that ends, so does what is under way."""
        try:
            while True:
                self._refresh()
                await asyncio.sleep(_LOOK_S)
        finally:
            for task in self._under_way.values():
                task.cancel()

    def _refresh(self) -> None:
        now = self._clock()
        self._not_before = {url: until for url, until in self._not_before.items() if until > now}
        for scheme in self._needed():
            if scheme.kind == "oidc" and scheme.keys_at not in self._entries:
                self._start(scheme, scheme.keys_at, self._load)
        for url, entry in list(self._entries.items()):
            if now < entry.due_at:
                continue
            if entry.keys and now < entry.used_at + _UNUSED_S:
                self._start(entry.scheme, url, self._load)
            else:
                del self._entries[url]

    # --- what is under way --------------------------------------------------------------------------------------------

    def _start(
        self, scheme: Scheme, url: str, job: Callable[[Scheme, str], Awaitable[_Outcome]], *, is_asked: bool = False
    ) -> asyncio.Task[None] | None:
        """Begin what is not under way already; None when it may not begin now.

        is_asked  by a request, of which there may be any number
        """
        if url in self._under_way:
            return self._under_way[url]
        if self._clock() < self._not_before.get(url, 0.0):
            return None
        if is_asked and not self._may_start():
            metrics.FETCHES.counts[scheme.name, "limited"] += 1
            return None
        task = asyncio.create_task(self._do(scheme, url, partial(job, scheme, url)))
        self._under_way[url] = task
        return task

    def _may_start(self) -> bool:
        now = self._clock()
        self._left = min(self._left + (now - self._left_at) * _PER_SECOND, float(_BURST))
        self._left_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    async def _do(self, scheme: Scheme, url: str, job: Callable[[], Awaitable[_Outcome]]) -> None:
        outcome: _Outcome = "failed"
        try:
            outcome = await job()
        except RetryLater as error:
            self._not_before[url] = self._clock() + _AGAIN_S
            self._tell(scheme, url, error)
        finally:
            metrics.FETCHES.counts[scheme.name, outcome] += 1
            del self._under_way[url]

    async def _wait(self, task: asyncio.Task[None] | None) -> None:
        if task is None or self._waiting >= _MOST_WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.wait({task}, timeout=WAIT_S)
        finally:
            self._waiting -= 1

    def _tell(self, scheme: Scheme, url: str, error: RetryLater) -> None:
        """Say what failed, but for an address's query, which may hold a token."""
        if self._clock() - self._told_at >= _TOLD_S:
            self._told_at = self._clock()
            _log.warning("fetch_failed", provider=scheme.name, url=url.partition("?")[0], error=str(error))

    # --- what is done -------------------------------------------------------------------------------------------------

    async def _load(self, scheme: Scheme, url: str) -> _Outcome:
        document = await self._fetch(url)
        if document is None and scheme.kind == "oidc":
            raise RetryLater("there is no set of keys")  # unlike a certificate, it is not a stranger who names it
        keys = parse_keys(scheme, document.body) if document else {}
        if keys is None:
            raise RetryLater("answered what is no usable key")
        now, before = self._clock(), self._entries.pop(url, None)
        fresh_s = document.fresh_s if document and document.fresh_s is not None else _FRESH_S
        fresh_s = min(max(fresh_s, _SHORTEST_S), _LONGEST_S) if keys else ABSENT_S
        self._entries[url] = _Entry(scheme, keys, now, now + fresh_s, before.used_at if before else now)
        if len(self._entries) > _MOST_ENTRIES:
            del self._entries[min(self._entries, key=self._worth)]
        return "fetched" if keys else "absent"

    def _worth(self, url: str) -> tuple[bool, float]:
        """Rank what is kept: what strangers have made up goes first, then what was not used for longest."""
        entry = self._entries[url]
        return bool(entry.keys), entry.used_at

    async def _confirm(self, _scheme: Scheme, url: str) -> _Outcome:
        if await self._fetch(url) is None:
            raise RetryLater("is not valid, or no longer")
        self._visited[url] = None
        if len(self._visited) > _MOST_VISITED:
            del self._visited[next(iter(self._visited))]
        return "fetched"
