"""The Lua scripts of `lua/`: each file's header is its contract, this module only loads them."""

from collections.abc import Awaitable, Sequence
from importlib.resources import files
from typing import Any, Protocol

from redis.asyncio import Redis


class Script(Protocol):
    """A script on the server: sent once, then called by its digest, and sent again after the server forgot it."""

    def __call__(self, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Awaitable[Any]:
        """Call it with its KEYS and ARGV."""
        ...


def load(redis: Redis, name: str) -> Script:
    """Make `lua/<name>.lua` callable through a client."""
    text = files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    script: Script = redis.register_script(text)
    return script
