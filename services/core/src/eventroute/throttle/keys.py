"""Keys of the throttle. The scripts build the same names (`lua/lib.lua`)."""

from typing import Final

PREFIX: Final = "er:{g0}:"
"""That of the queue's first group, and the one key that scripts declare. No key of its own."""


def state(bucket: str) -> str:
    """HASH: what `lua/lib.lua` describes. Worker writes; a day after the last call it is gone."""
    return f"{PREFIX}throttle:{bucket}"


def places(bucket: str) -> str:
    """ZSET, delivery id → when its place ends by itself, Unix ms. Worker writes; lives as the state."""
    return f"{PREFIX}places:{bucket}"


def calls(bucket: str) -> str:
    """HASH, delivery id → JSON of what its place was charged. Worker writes; lives as the state."""
    return f"{PREFIX}calls:{bucket}"
