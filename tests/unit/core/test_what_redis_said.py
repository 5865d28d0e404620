"""What Redis says against a call, or that it says nothing, is one of two errors that keep its words."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import redis.exceptions as redis_says

from eventroute.queue import Upkeep
from eventroute.runtime.scripts import RedisAway, RedisForbids, told
from support.queue import GROUP


@pytest.mark.parametrize(
    ("error", "kind", "word", "message"),
    [
        (redis_says.ResponseError("WRONGTYPE Operation"), RedisForbids, "WRONGTYPE", "WRONGTYPE Operation"),
        (redis_says.ResponseError("CLUSTERDOWN it is"), RedisAway, "CLUSTERDOWN", "CLUSTERDOWN it is"),
        (redis_says.OutOfMemoryError("command not allowed"), RedisAway, "OOM", "OOM command not allowed"),
        (redis_says.NoPermissionError("no right"), RedisForbids, "NOPERM", "NOPERM no right"),
        (redis_says.AuthenticationError("who"), RedisForbids, "NOAUTH", "NOAUTH who"),
        (redis_says.BusyLoadingError("reads"), RedisAway, "LOADING", "LOADING reads"),
        (redis_says.ReadOnlyError("replica"), RedisAway, "READONLY", "READONLY replica"),
        (redis_says.ConnectionError("refused"), RedisAway, "LOST", "refused"),
        (redis_says.TimeoutError(), RedisAway, "LOST", "no answer"),
        (OSError("no route"), RedisAway, "LOST", "no route"),
        (BrokenPipeError(), RedisAway, "LOST", "BrokenPipeError"),
    ],
)
def test_an_error_keeps_its_word_and_its_words(error: Any, kind: type, word: str, message: str) -> None:
    found = told(error)
    assert type(found) is kind
    assert (found.word, str(found)) == (word, message)


class Refusing:
    """A client all of whose commands fail."""

    def __getattr__(self, _: str) -> Any:
        async def fail(*_: Any, **__: Any) -> Any:
            raise redis_says.NoPermissionError("no right")

        return fail


@pytest.mark.parametrize(
    "call",
    [
        lambda upkeep: upkeep.held(GROUP),
        lambda upkeep: upkeep.standing(GROUP),
        lambda upkeep: upkeep.limits(GROUP),
        lambda upkeep: upkeep.routes(GROUP),
    ],
)
async def test_what_is_only_read_meets_the_same_errors(call: Callable[[Upkeep], Awaitable[Any]]) -> None:
    upkeep = Upkeep(cast("Any", Refusing()), cast("Any", None))
    with pytest.raises(RedisForbids, match="NOPERM no right"):
        await call(upkeep)
