"""The throttle's scripts, read once: `lua/*.lua`, whose headers are their contracts."""

from typing import Final

from eventroute.runtime.scripts import Script

NAMES: Final[dict[str | bytes, str]] = {}
"""Digest, or whole script, → name, to be told in traces."""


def _script(name: str) -> Script:
    script = Script(__package__ or "", name, shared="lib")
    NAMES[script.sha] = NAMES[script.source] = f"throttle_{name}"
    return script


ENTER: Final = _script("enter")
FIGURES: Final = _script("figures")
GRANT: Final = _script("grant")
LEAVE: Final = _script("leave")
