"""Redis keys of route tables, processes and statistics: one docstring each, with writer, reader and lifetime.

Those of the queue stand in `eventroute.queue.keys`. One Redis database belongs to one installation. Memory policy must
be `noeviction`: every other policy silently drops queued work.
"""

from eventroute.ids import RouteUid


def table_changed(plane: str) -> str:
    """PUB/SUB channel: a new version and the routes it touches. Publisher sends; the plane's processes hear."""
    return f"eventroute:table:{plane}:changed"


def table(plane: str) -> str:
    """HASH, route path → sealed entry, and `@version` → number. Publisher writes; processes of the plane read. Kept.

    `@unfinished` marks a publication in pieces until its last one. A deleted route leaves a sealed tombstone for ten
    minutes.
    """
    return f"eventroute:table:{plane}"


def process(plane: str, process_id: str) -> str:
    """STRING, JSON of the table version that a process serves. The process writes every 5 s; lives 15 s."""
    return f"eventroute:process:{plane}:{process_id}"


def processes(plane: str) -> str:
    """SET, ids of a plane's processes. Each adds itself with its heartbeat; the operator removes the dead. Kept."""
    return f"eventroute:processes:{plane}"


def stats(route: RouteUid) -> str:
    """HASH, what a route's status tells of its traffic. Receiver and worker add to it; operator reads; lives 30 days.

    The fields are `eventroute.runtime.stats`' own. A life begins anew with each write.
    """
    return f"eventroute:stats:{route}"
