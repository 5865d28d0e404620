"""Redis keys: one home, one docstring each, with writer, reader and lifetime.

One Redis database belongs to one installation. Memory policy must be `noeviction`: every other policy silently drops
queued work. arq's key names are arq's own; their layout (0.28) is treated as a contract and tested.
"""

from typing import Final

from eventroute.ids import ClaimId, DeliveryId, RouteUid

QUEUE: Final = "eventroute:queue"
"""ZSET, delivery id → due time in Unix ms. Receiver adds; worker re-scores, and removes what is settled."""

WAKE: Final = "eventroute:wake"
"""LIST of at most `WAKE_TOKENS` tokens. Receiver pushes one per delivery, an idle worker pops one by BLPOP."""

WAKE_TOKENS: Final = 64
"""More tokens than workers make sense of; a spare one costs a worker one look at the queue. Arbitrary."""

DEAD: Final = "eventroute:dead"
"""ZSET, delivery id → time of death in Unix ms. Worker (and receiver for unparsable bodies) adds; people remove."""


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


def claim(claim_id: ClaimId) -> str:
    """STRING, the id of the delivery that took the claim. Receiver writes; lives for the scheme's dedup lifetime."""
    return f"eventroute:claim:{claim_id}"


def bucket(route: RouteUid) -> str:
    """HASH, a route's token bucket. Receiver writes; lives until it would be full again."""
    return f"eventroute:bucket:{route}"


def stats(route: RouteUid) -> str:
    """HASH, what a route's status tells of its traffic. Receiver and worker add to it; operator reads; lives 30 days.

    The fields are `eventroute.runtime.stats`' own. A life begins anew with each write.
    """
    return f"eventroute:stats:{route}"


def delivery(delivery_id: DeliveryId) -> str:
    """STRING, the delivery as JSON. Receiver writes; no expiry while queued, worker sets one when it has settled."""
    return f"eventroute:delivery:{delivery_id}"


def run(delivery_id: DeliveryId) -> str:
    """HASH, the run: attempts, saved answer, sinks done, outcome. Worker writes; expiry as the delivery's."""
    return f"eventroute:run:{delivery_id}"


def stream(namespace: str, name: str) -> str:
    """STREAM of answers, a `stream` sink of the namespace's routes; capped, kept. Worker adds; anybody reads."""
    return f"eventroute:stream:{namespace}:{name}"


def history(scope: str, entity: str) -> str:
    """LIST of an entity's latest entries, newest first. Worker writes and reads; lives for the route's history TTL.

    scope   route uid, or `ns/<namespace>`: tenants never share a list
    entity  hashed, as it comes from a payload
    """
    return f"eventroute:history:{scope}:{entity}"


def job(delivery_id: DeliveryId) -> str:
    """STRING, arq's job. Receiver writes without expiry, worker removes: a retried job cannot outlive its payload."""
    return f"arq:job:{delivery_id}"


def lease(delivery_id: DeliveryId) -> str:
    """STRING, arq's in-progress mark; its value is the worker that runs the job. Worker renews it; lives 15 s."""
    return f"arq:in-progress:{delivery_id}"


def tries(delivery_id: DeliveryId) -> str:
    """INT, how often arq started the job. Worker writes and removes."""
    return f"arq:retry:{delivery_id}"
