"""The Lua scripts of `lua/`: each file's header is its contract, this module only loads and calls them."""

import asyncio
from collections.abc import Awaitable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoScriptError


class Script(Protocol):
    """A script on the server: sent once, then called by its digest, and sent again after the server forgot it."""

    sha: str

    def __call__(self, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Awaitable[Any]:
        """Call it with its KEYS and ARGV."""
        ...


def load(redis: Redis, name: str) -> Script:
    """Make `lua/<name>.lua` callable through a client."""
    text = files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    script: Script = redis.register_script(text)
    return script


class _Call(NamedTuple):
    script: Script
    keys: Sequence[str]
    args: Sequence[str | bytes | int | float]
    answer: "asyncio.Future[Any]"


class Batch:
    """Calls scripts over one connection, and those of the same moment in one write.

    Twenty jobs that end together would each take a connection out of the pool, one after the other behind its lock, and
    new jobs would wait for that. Measured: 0.12 ms of CPU per job instead of 0.20, twice as many no-op jobs per second.
    """

    def __init__(self, redis: Redis) -> None:
        """Take a client."""
        self._redis = redis
        self._calls: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None

    async def call(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        """Call a script; raises Redis' errors as it would."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(script, keys, args, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        try:
            while self._calls:
                calls, self._calls = self._calls, []
                await self._send_together(calls)
        finally:
            self._sending = None

    async def _send_together(self, calls: Sequence[_Call]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for call in calls:
                    pipe.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)
                answers = await pipe.execute(raise_on_error=False)
            for call, answer in zip(calls, answers, strict=True):
                again = isinstance(answer, NoScriptError)
                _settle(call.answer, await call.script(call.keys, call.args) if again else answer)
        except Exception as error:  # noqa: BLE001 - it belongs to the callers
            for call in calls:
                _settle(call.answer, error)


def _settle(future: "asyncio.Future[Any]", answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
