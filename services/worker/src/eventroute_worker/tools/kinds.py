"""What a kind of tool has to tell: how a call is made ready, what it would do, and what became of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from eventroute.delivery import Delivery
from eventroute.errors import Refused
from eventroute.tool import Tool


class ArgumentsRefused(Refused):
    """The arguments fit the schema, and yet nothing can be made of them."""


class Call(NamedTuple):
    """A call, and where it is made."""

    tool: Tool
    arguments: Mapping[str, Any]
    key: str
    """The same for this call however often it is made, and for no other."""
    parent: Delivery
    """The one whose answer is being worked on."""
    marker: str
    """What tells of the answers that stand behind what is written (`eventroute.hops`)."""
    traceparent: str


class Heard(NamedTuple):
    """What became of a call."""

    text: str
    """What Claude is told."""
    is_success: bool
    status: int = 0
    may_have_happened: bool = False
    """Nobody heard whether it did."""
    why: str = ""
    """Why there was no answer: for people, as it may tell of what is inside."""
    delivery: str = ""
    """What it became at another route."""


class Ready(Protocol):
    """A call made ready."""

    def describe(self) -> str:
        """Write exactly what it would do, for a dry run and for people who are to approve it."""
        ...

    async def make(self) -> Heard:
        """Make it once; the queue's own errors come as they are."""
        ...


class Kind(Protocol):
    """Makes calls of one kind ready."""

    def prepare(self, call: Call) -> Ready:
        """Make a call ready; raises `ArgumentsRefused`."""
        ...
