"""What each program may do in Redis: the least that its code needs, so that one taken over does not hand out the rest.

The receiver faces the internet: it adds deliveries and reads none back, neither its own nor what became of them. The
worker cannot read the receivers' table, where the webhook secrets are; the operator cannot read deliveries, answers or
histories. All rules are for Redis 7 or Valkey, whose selectors tie commands to keys: within one pair of parentheses
every key of a command must match. Scripts are bound twice, by the keys they declare (which need read *and* write
access, whatever the script does) and by each command that they call.

Whoever deploys Redis prefixes the rules with what only the installation knows: `user <name> on >password <rules>`.
"""

from typing import Final, NamedTuple

from eventroute import keys
from eventroute.ids import ClaimId, DeliveryId, RouteUid
from eventroute.route_table import RECEIVER, WORKER

_CONNECTION: Final = "+ping +select +role +client|setinfo"
"""Of every client: to sign in is always allowed; ROLE tells whether this still is the primary."""

_CLAIM: Final = keys.claim(ClaimId("*"))
_BUCKET: Final = keys.bucket(RouteUid("*"))
_DELIVERY: Final = keys.delivery(DeliveryId("*"))
_RUN: Final = keys.run(DeliveryId("*"))
_STREAM: Final = keys.stream("*", "*")
_HISTORY: Final = keys.history("*", "*")
_JOB: Final = keys.job(DeliveryId("*"))
_LEASE: Final = keys.lease(DeliveryId("*"))
_TRIES: Final = keys.tries(DeliveryId("*"))
_STATS: Final = keys.stats(RouteUid("*"))


class _Grant(NamedTuple):
    """Commands on keys; `patterns` as ACLs write them, `%R~` to read and `%W~` to write only."""

    commands: str
    patterns: tuple[str, ...]


def rules() -> dict[str, str]:
    """Map each user to its rules, without state and password: they start from a user who may do nothing."""
    return {
        "receiver": _rendered(f"{_CONNECTION} +time {_follow(RECEIVER.name)}", _RECEIVER),
        "worker": _rendered(f"{_CONNECTION} +time +script|load {_follow(WORKER.name)}", _WORKER),
        "operator": _rendered(f"{_CONNECTION} {_PUBLISHING}", _OPERATOR),
        "keda": _rendered(_CONNECTION, _KEDA),
        "reader": _rendered(_CONNECTION, _READER),
    }


def _rendered(keyless: str, grants: tuple[_Grant, ...]) -> str:
    selectors = (f"({' '.join([*grant.patterns, grant.commands])})" for grant in grants)
    return " ".join([keyless, *selectors])


def _all(*names: str) -> tuple[str, ...]:
    return tuple(f"~{name}" for name in names)


def _follow(plane: str) -> str:
    """Hear of changes of the plane's table."""
    return f"+subscribe &{keys.table_changed(plane)}"


def _served(plane: str) -> tuple[_Grant, ...]:
    """Read the plane's table, say which version is served, and count."""
    return (
        _Grant("+hget +hmget +hscan", (f"%R~{keys.table(plane)}",)),
        _Grant("+eval +set +sadd", _all(keys.process(plane, "*"), keys.processes(plane))),
        _Grant("+eval +evalsha +hget +hincrby +hset +expire", _all(_STATS)),
    )


_PUBLISHING: Final = f"+time +publish &{keys.table_changed(RECEIVER.name)} &{keys.table_changed(WORKER.name)}"

_RECEIVER: Final = (
    *_served(RECEIVER.name),
    _Grant("+eval +evalsha", _all(keys.QUEUE, keys.WAKE, keys.DEAD, _BUCKET, _DELIVERY, _JOB, _CLAIM)),
    _Grant("+get +set", _all(_CLAIM)),
    _Grant("+set", (f"%W~{_DELIVERY}", f"%W~{_JOB}")),
    _Grant("+exists", (f"%R~{_JOB}",)),
    _Grant("+zadd +zcard +zcount", _all(keys.QUEUE)),
    _Grant("+zadd", (f"%W~{keys.DEAD}",)),
    _Grant("+lpush +ltrim", _all(keys.WAKE)),
    _Grant("+hmget +hset +pexpire", _all(_BUCKET)),
)

_WORKER: Final = (
    *_served(WORKER.name),
    _Grant(
        "+eval +evalsha",
        _all(keys.QUEUE, keys.WAKE, keys.DEAD, _DELIVERY, _RUN, _STREAM, _HISTORY, _JOB, _LEASE, _TRIES),
    ),
    _Grant("+zadd +zrem +zscore +zscan +zrangebyscore", _all(keys.QUEUE)),
    _Grant("+blpop +lpush +ltrim +del", _all(keys.WAKE)),
    _Grant("+zadd +zrem +zremrangebyscore", _all(keys.DEAD)),
    _Grant("+get +mget +set +incr +decr +pexpire +del", _all(_JOB, _LEASE, _TRIES)),
    _Grant("+exists", _all(_JOB, _DELIVERY)),
    _Grant("+get +persist +pexpire", _all(_DELIVERY)),
    _Grant("+hget +hgetall +hexists +hset +hsetnx +hdel +persist +pexpire", _all(_RUN)),
    _Grant("+lrange +lpush +ltrim +expire", _all(_HISTORY)),
    _Grant("+xadd", (f"%W~{_STREAM}",)),
)

_OPERATOR: Final = (
    _Grant("+eval +hget +hmget +hscan +hset +hdel", _all(keys.table(RECEIVER.name), keys.table(WORKER.name))),
    _Grant("+smembers +srem", _all(keys.processes(RECEIVER.name), keys.processes(WORKER.name))),
    _Grant("+mget", (f"%R~{keys.process('*', '*')}",)),
    _Grant("+hgetall", (f"%R~{_STATS}",)),
)

# The scaler's script asks TYPE, then ZCARD; LLEN when the queue is empty and so has no type: without it, the scaler
# fails just when workers should go to zero (KEDA 2.20, pkg/scalers/redis_scaler.go).
_KEDA: Final = (_Grant("+eval +type +zcard +llen", _all(keys.QUEUE)),)

# For whoever takes the answers of `stream` sinks: all of them, and nothing else.
_READER: Final = (_Grant("+xlen +xrange +xrevrange +xread", (f"%R~{_STREAM}",)),)
