"""Redis keys of route tables, processes and statistics: one docstring each, with writer, reader and lifetime.

Those of the queue stand in `eventroute.queue.keys`. One Redis database belongs to one installation. Memory policy must
be `noeviction`: every other policy silently drops queued work.
"""

from typing import Final

from eventroute.ids import RouteUid

_HOME: Final = "er:{g0}:"
"""Where in a cluster all of these stand: on one server, that of the queue's first group."""


def table_changed(plane: str) -> str:
    """PUB/SUB channel: a new version and the routes it touches. Publisher sends; the plane's processes hear."""
    return f"eventroute:table:{plane}:changed"


def table(plane: str) -> str:
    """HASH, route path → sealed entry, and `@version` → number. Publisher writes; processes of the plane read. Kept.

    `@unfinished` marks a publication in pieces until its last one. A deleted route leaves a sealed tombstone for ten
    minutes.
    """
    return f"{_HOME}table:{plane}"


def process(plane: str, process_id: str) -> str:
    """STRING, JSON of the table version that a process serves. The process writes every 5 s; lives 15 s."""
    return f"{_HOME}process:{plane}:{process_id}"


def processes(plane: str) -> str:
    """SET, ids of a plane's processes. Each adds itself with its heartbeat; the operator removes the dead. Kept."""
    return f"{_HOME}processes:{plane}"


def notices() -> str:
    """STRING, JSON of the models that go away or are gone. Workers ask Claude's API and write it; operator reads. Kept.

    The form is `eventroute.runtime.notices`' own.
    """
    return f"{_HOME}notices"


def stats(route: RouteUid) -> str:
    """HASH, what a route's status tells of its traffic. Receiver and worker add to it; operator reads; lives 30 days.

    The fields are `eventroute.runtime.stats`' own. A life begins anew with each write.
    """
    return f"{_HOME}stats:{route}"
