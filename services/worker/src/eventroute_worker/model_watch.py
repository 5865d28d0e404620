"""Which models go away, as Claude's API says: asked at the start and every day, and nothing depends on it.

What is found is written to Redis, from where the operator tells of it, and given to the worker's own `Troubles`: what
needs a retired model waits without a call. Where the API cannot be asked, what another worker has found holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute.errors import RetryLater
from eventroute.models import undated
from eventroute.prompt import Plan
from eventroute.runtime.notices import Notice, Notices, read_notices, write_notices
from eventroute.secret import Secret
from eventroute_worker.troubles import Troubles

DAY_S: Final = 86_400.0
AGAIN_S: Final = 600.0  # after a failure, and
SOON_S: Final = 10.0  # while there is no key, as before the first routes are read; both arbitrary

_log = structlog.get_logger()


class Asks(Protocol):
    """Claude's API, as far as it tells of models."""

    def key_id(self, api_key: Secret | None) -> str:
        """Name a key, empty where there is none."""
        ...

    async def notices(self, *, api_key: Secret | None) -> dict[str, Notice]:
        """List models that are no longer active; raises `RetryLater`."""
        ...


class ModelWatch:
    """Looks for as long as the worker runs."""

    def __init__(
        self,
        claude: Asks,
        redis: Redis,
        *,
        plans: Callable[[], Collection[Plan]],
        troubles: Troubles,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the collaborators; `plans` are the routes that are served, whose keys may be the only ones."""
        self._claude = claude
        self._redis = redis
        self._plans = plans
        self._troubles = troubles
        self._pause = pause

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._pause(await self.look())

    async def look(self) -> float:
        """Ask once; returns in how many seconds to ask again."""
        found, again_s = await self._ask(self._keys())
        try:
            if found is None:
                self._troubles.read_notices(await read_notices(self._redis))
            else:
                self._troubles.read_notices(found)
                await write_notices(self._redis, found)
        except (RedisError, OSError) as error:
            _log.warning("model_notices_not_kept", error=str(error))
            return min(again_s, AGAIN_S)
        return again_s

    async def _ask(self, api_keys: Collection[Secret | None]) -> tuple[Notices | None, float]:
        """Ask with the first key that the API accepts; None = with none."""
        for api_key in api_keys:
            try:
                return with_aliases(await self._claude.notices(api_key=api_key)), DAY_S
            except RetryLater as error:
                _log.warning("models_not_listed", error=str(error))
        return None, AGAIN_S if api_keys else SOON_S

    def _keys(self) -> Collection[Secret | None]:
        """List the keys that differ, the worker's own first."""
        named: dict[str, Secret | None] = {}
        for api_key in (None, *(plan.route.api_key for plan in self._plans())):
            named.setdefault(self._claude.key_id(api_key), api_key)
        return [api_key for key_id, api_key in named.items() if key_id]


def with_aliases(notices: Notices) -> dict[str, Notice]:
    """Let what is said of a dated name be said of the name without the date too, unless that has its own entry."""
    return {undated(name): notice for name, notice in notices.items()} | dict(notices)
