"""Lua scripts: files beside the code, called by hash, loaded when the server does not know them (any more)."""

import hashlib
from importlib import resources
from typing import Any

import hiredis

from eventroute_receiver.link import RedisLink


class Script:
    """One Lua file."""

    def __init__(self, name: str) -> None:
        """Read `<name>.lua` of this package."""
        self._source = resources.files(__package__).joinpath(f"{name}.lua").read_bytes()
        self._sha = hashlib.sha1(self._source, usedforsecurity=False).hexdigest()

    async def call(self, link: RedisLink, keys: list[str], args: list[bytes | str | int | float]) -> Any:
        """Run the script: one round trip, or two when the server has to be told the source first."""
        try:
            return await link.call("EVALSHA", self._sha, len(keys), *keys, *args)
        except hiredis.ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            return await link.call("EVAL", self._source, len(keys), *keys, *args)
