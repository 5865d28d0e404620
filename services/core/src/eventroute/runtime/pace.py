"""Long work on the event loop, in pieces: whoever has worked for a while lets the others have a turn."""

import asyncio
import time
from typing import Final

PIECE_S: Final = 0.005
"""How long the others wait for a turn at most, unless one step takes longer: a tenth of what a sender would notice."""


class Pace:
    """The pace of one piece of work."""

    def __init__(self) -> None:
        """Begin now."""
        self._until = time.monotonic() + PIECE_S

    async def give_way(self) -> None:
        """Let others have a turn when it is time; to be called between two steps."""
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + PIECE_S
