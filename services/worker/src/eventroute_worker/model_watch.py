"""Which models go away, as Claude's API says: asked at the start and every day, and nothing depends on it.

What is found is written to Redis, from where the operator tells of it, and given to the worker's own `Troubles`: what
needs a retired model waits without a call. Where the API cannot be asked, what another worker has found holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
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
AGAIN_S: Final = 600.0  # after a failure; arbitrary

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
            await self._pause(DAY_S if await self.look() else AGAIN_S)

    async def look(self) -> bool:
        """Ask once; returns whether the API has answered."""
        try:
            found = await self._ask()
            if found is None:
                self._troubles.read_notices(await read_notices(self._redis))
                return False
            self._troubles.read_notices(found)
            await write_notices(self._redis, found)
        except (RedisError, OSError) as error:
            _log.warning("model_notices_not_kept", error=str(error))
        return True

    async def _ask(self) -> Notices | None:
        """Ask with the first key that the API accepts; None = with none."""
        detail = "no key to ask with"
        for api_key in self._keys():
            try:
                return with_aliases(await self._claude.notices(api_key=api_key))
            except RetryLater as error:
                detail = str(error)
        _log.warning("models_not_listed", error=detail)
        return None

    def _keys(self) -> Iterator[Secret | None]:
        asked: set[str] = {""}
        for api_key in (None, *(plan.route.api_key for plan in self._plans())):
            if (key_id := self._claude.key_id(api_key)) not in asked:
                asked.add(key_id)
                yield api_key


def with_aliases(notices: Notices) -> dict[str, Notice]:
    """Let what is said of a dated name be said of the name without the date too, unless that has its own entry."""
    return {undated(name): notice for name, notice in notices.items()} | dict(notices)
