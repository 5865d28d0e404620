"""What each program may do in Redis: the least that its code needs, so that one taken over does not hand out the rest.

The receiver faces the internet: it adds deliveries and reads none back, neither its own nor what became of them. The
worker cannot read the receivers' table, where the webhook secrets are; the operator cannot read deliveries, answers or
histories. People at the `desk` (`eventroute runs`, `dead`, `explain`) read deliveries with their answers, replay and
discard what has ended, stop and start; they admit nothing, take no lease, and see no table.

All rules are for Redis 7 or Valkey, whose selectors tie commands to keys: within one pair of parentheses
every key of a command must match. Scripts are bound twice, by the keys they declare (which need read *and* write
access, whatever the script does) and by each command that they call.

Whoever deploys Redis prefixes the rules with what only the installation knows: `user <name> on >password <rules>`.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from eventroute import keys
from eventroute.ids import ClaimId, DeliveryId, RoutePath, RouteUid
from eventroute.queue.keys import FIRST, Group
from eventroute.route_table import RECEIVER, WORKER
from eventroute.throttle import keys as throttle

_CONNECTION: Final = "+ping +select +role +client|setinfo +cluster|slots"
"""Of every client: to sign in is always allowed; ROLE tells whether this still is the primary, CLUSTER SLOTS who is."""

_ALL: Final = Group("*")
_ANY: Final = RoutePath("*")
_CLAIM: Final = _ALL.claim(ClaimId("*"))
_DELIVERY: Final = _ALL.delivery(DeliveryId("*"))
_ROUTE: Final = _ALL.route(_ANY)
_READY: Final = _ALL.ready(_ANY)
_ACTIVE: Final = _ALL.active(_ANY)
_LANE: Final = _ALL.lane(_ANY, "*")
_BEHIND: Final = _ALL.behind(_ANY)
_COLLECTING: Final = _ALL.collecting(_ANY, "*")
_NEWEST: Final = _ALL.newest(_ANY, "*")
_COLLECTED: Final = _ALL.collected(DeliveryId("*"))
_HOLDING: Final = _ALL.holding(_ANY)
_DEAD: Final = _ALL.dead(_ANY)
_FINISHED: Final = tuple(_ALL.finished(kind, _ANY) for kind in ("bodies", "answers", "records"))
_PARKED: Final = _ALL.parked("*")
_PARKED_OF: Final = _ALL.parked_of("*")
_WAITS: Final = _ALL.waiting_routes("*")
_WAITING: Final = _ALL.waiting("*", _ANY)
_BUDGET: Final = _ALL.budget("*")
_STREAM: Final = _ALL.stream("*", "*")
_PACE: Final = _ALL.pace("*")
_PLACE: Final = _ALL.place(_ANY, "*")
_HISTORY: Final = _ALL.history("*")
_STATS: Final = keys.stats(RouteUid("*"))


class _Grant(NamedTuple):
    """Commands on keys; `patterns` as ACLs write them, `%R~` to read and `%W~` to write only."""

    commands: str
    patterns: tuple[str, ...]


def rules() -> dict[str, str]:
    """Map each user to its rules, without state and password: they start from a user who may do nothing."""
    return {user: _rendered(f"{_CONNECTION} {keyless}".strip(), grants) for user, (keyless, grants) in _USERS.items()}


def needs(user: str, *, groups: int = 1) -> Iterator[tuple[str, list[str]]]:
    """Name all that a program has to be allowed, each with a command that Redis can be asked about.

    Rules may have been written for fewer groups than there are by now: of each key, the first and the last are named.
    """
    keyless, grants = _USERS[user]
    rules = keyless.split()
    channels = [rule[1:] for rule in rules if rule.startswith("&")]
    for command in (rule[1:] for rule in rules if rule.startswith("+")):
        if command in {"subscribe", "publish"}:
            yield from ((f"+{command} &{channel}", [command, channel]) for channel in channels)
        else:
            yield f"+{command}", [command]
    for commands, patterns in grants:
        for pattern in patterns:
            names = {pattern.partition("~")[2].replace("g*", f"g{number}") for number in (0, groups - 1)}
            for command in commands.replace("+", "").split():
                for name in sorted(names):
                    yield f"+{command} {pattern}", _command(command, name.replace("*", "x"))


def _command(name: str, key: str) -> list[str]:
    """Write a command as far as Redis has to read it to find its keys."""
    if name in {"eval", "evalsha"}:
        return [name, "", "1", key]
    return [name, key, "0"] if name == "blpop" else [name, key]


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

# Every script declares its group's prefix, which is no key, and is bound by the commands that it then calls.
_SCRIPTS: Final = _Grant("+eval +evalsha", _all(_ALL.prefix))

# What the queue's scripts do, in the order of `queue/lua`. A receiver writes deliveries and reads none: it sees
# how long a dead letter is, and whether it has an answer.

# What `load` counts, and how many calls the throttle admits.
_FIGURES: Final = (
    _Grant("+hkeys", (f"%R~{_ALL.causes}",)),
    _Grant("+zcard", (f"%R~{_PARKED}",)),
    _Grant("+zrange", (f"%R~{_ALL.sendings}",)),
    _Grant("+zrange +zcard", (f"%R~{_ALL.turns}", f"%R~{_WAITS}", f"%R~{_WAITING}")),
    _Grant("+hgetall", (f"%R~{throttle.state('*')}",)),
    _Grant("+zcount", (f"%R~{throttle.places('*')}",)),
)

_RECEIVER: Final = (
    *_served(RECEIVER.name),
    _SCRIPTS,
    _Grant("+get +set", _all(_CLAIM)),
    _Grant("+hset +hdel +pexpire +persist", (f"%W~{_DELIVERY}",)),
    # How long a dead letter is that runs again, whether what has a lane is there, and has ended; not what they say.
    _Grant("+hstrlen +exists +hexists", (f"%R~{_DELIVERY}",)),
    _Grant("+get +set", _all(_NEWEST)),
    _Grant("+rpush", (f"%W~{_ALL.outdone}",)),
    _Grant("+zscore", (f"%R~{_ALL.running}",)),
    _Grant("+zadd +zrem +zrange", _all(_LANE)),
    _Grant("+zadd +zrem", (f"%W~{_BEHIND}",)),
    _Grant("+hget +hdel", _all(_HOLDING)),
    _Grant("+hmget +hset", _all(_COLLECTING)),
    _Grant("+rpush", (f"%W~{_COLLECTED}",)),
    _Grant("+zadd", (f"%W~{_ALL.later}",)),
    _Grant("+hmget +hget +hset +hincrby", _all(_ALL.usage, _ROUTE)),
    _Grant("+sadd", (f"%W~{_ALL.routes}",)),
    _Grant("+zadd", (f"%W~{_READY}",)),
    _Grant("+zcard", (f"%R~{_READY}",)),
    _Grant("+zadd +zrange", _all(_ALL.rotation)),
    _Grant("+zscore +zadd +zrem", _all(_DEAD)),
    _Grant("+hexists +hkeys", (f"%R~{_ALL.held}",)),
    _Grant("+hexists", (f"%R~{_ALL.stop}",)),
    _Grant("+hget", (f"%R~{_ALL.limits}",)),
    _Grant("+scard", (f"%R~{_ACTIVE}",)),
    _Grant("+lpush +ltrim", (f"%W~{_ALL.wake}",)),
    _Grant("+zcard +zcount", (f"%R~{_ALL.running}", f"%R~{_ALL.later}", f"%R~{_ALL.suspects}")),
    *_FIGURES,
)

_WORKER: Final = (
    *_served(WORKER.name),
    _SCRIPTS,
    # It admits what a route hands over to another one.
    _Grant("+get +set", _all(_CLAIM)),
    _Grant(
        "+hget +hgetall +hmget +hexists +hstrlen +hkeys +hset +hsetnx +hdel +hincrby +persist +pexpire +unlink +exists",
        _all(_DELIVERY),
    ),
    _Grant("+hget +hmget +hset +hdel +hincrby", _all(_ALL.usage, _ROUTE)),
    _Grant("+zadd +zrem +zcard +zscore +zrange +zrangebyscore +zpopmin", _all(_READY, _DEAD, *_FINISHED, _PARKED)),
    _Grant("+zcount", (f"%R~{_READY}",)),
    _Grant(
        "+zadd +zrem +zcard +zscore +zrange +zrangebyscore +zcount",
        _all(_ALL.rotation, _ALL.sendings, _ALL.later, _ALL.running, _ALL.suspects),
    ),
    _Grant("+zadd +zrem +zcard +zscore +zrange +zrangebyscore", _all(_ALL.turns, _WAITS, _WAITING)),
    _Grant("+hgetall +hget +hset +hdel +pexpire", _all(throttle.state("*"), throttle.calls("*"))),
    _Grant("+zadd +zrem +zcard +zcount +zrangebyscore +pexpire", _all(throttle.places("*"))),
    _Grant("+get +set +del +pexpire", _all(_ALL.solo, _ALL.keeper)),
    _Grant("+hget +hgetall +hkeys +hexists +hset +hsetnx +hdel", _all(_ALL.held, _ALL.causes, _ALL.probed)),
    _Grant("+hget +hgetall +hexists +hset +hdel", _all(_ALL.limits)),
    _Grant("+smembers +sismember +sadd +srem", _all(_ALL.strict)),
    _Grant("+zadd +zrem +zrange", _all(_LANE, _BEHIND)),
    _Grant("+hget +hset +hdel +hscan", _all(_HOLDING)),
    _Grant("+hget +hmget +hset +lrange +rpush +del", _all(_COLLECTING, _COLLECTED)),
    _Grant("+get +set +del", _all(_NEWEST)),
    _Grant("+lpop +rpush", _all(_ALL.outdone)),
    _Grant("+scard +smembers +sadd +srem", _all(_ACTIVE)),
    _Grant("+hgetall +hexists", (f"%R~{_ALL.stop}",)),
    _Grant("+hget +hgetall +hincrby +del", _all(_PARKED_OF)),
    _Grant("+hget +hmget +hset +hsetnx +hdel +hincrby +pexpire", _all(_BUDGET)),
    _Grant("+hget +hexists +hset +hdel +hscan", _all(_ALL.reserved)),
    _Grant("+sadd +smembers +srem", _all(_ALL.budgets)),
    _Grant("+sscan +smembers +sadd", _all(_ALL.routes)),
    _Grant("+blpop +lpush +ltrim +del", _all(_ALL.wake)),
    _Grant("+zrevrangebyscore +zadd +zremrangebyrank +zremrangebyscore +expire", _all(_HISTORY)),
    _Grant("+get +set", _all(_PLACE)),
    _Grant("+hmget +hset +pexpire", _all(_PACE)),
    _Grant("+xadd", (f"%W~{_STREAM}",)),
    _Grant("+get +set", _all(keys.notices())),
)

_OPERATOR: Final = (
    _Grant("+eval +hget +hmget +hscan +hset +hdel", _all(keys.table(RECEIVER.name), keys.table(WORKER.name))),
    _Grant("+smembers +srem", _all(keys.processes(RECEIVER.name), keys.processes(WORKER.name))),
    _Grant("+mget", (f"%R~{keys.process('*', '*')}",)),
    _Grant(
        "+hgetall",
        (f"%R~{_STATS}", f"%R~{_ALL.held}", f"%R~{_ALL.causes}", f"%R~{_PARKED_OF}", f"%R~{FIRST.stop}"),
    ),
    _Grant("+zcard", (f"%R~{_PARKED}",)),
    _Grant("+get", (f"%R~{keys.notices()}",)),
    _Grant("+smembers", (f"%R~{_ALL.budgets}",)),
    _Grant("+hmget +hsetnx", _all(_BUDGET)),  # what it has told of a budget, it notes there
)

# For whoever takes the answers of `stream` sinks: all of them, and nothing else.
_READER: Final = (_Grant("+xlen +xrange +xrevrange +xread", (f"%R~{_STREAM}",)),)

_SETS: Final = (
    *(_READY, _BEHIND, _DEAD, *_FINISHED, _PARKED),
    *(_ALL.rotation, _ALL.sendings, _ALL.later, _ALL.running, _ALL.suspects),
)

# For people: what `eventroute.queue.Desk` reads, and the scripts `replay`, `discard`, `glance`, `load`, `stop` and
# `start`.
_DESK: Final = (
    _SCRIPTS,
    _Grant("+get", (f"%R~{_CLAIM}",)),  # which delivery an answer became
    _Grant(
        "+hget +hgetall +hmget +hexists +hstrlen +hkeys +hset +hdel +hincrby +persist +unlink +exists",
        _all(_DELIVERY),
    ),
    _Grant("+hget +hmget +hincrby", _all(_ALL.usage, _ROUTE)),
    _Grant(
        "+zcard +zcount +zscore +zrange +zrevrangebyscore",
        tuple(f"%R~{name}" for name in _SETS),
    ),
    _Grant("+zadd", (f"%W~{_READY}", f"%W~{_ALL.rotation}", f"%W~{_ALL.sendings}")),
    _Grant("+zadd +zrem +zrange +zcard", _all(_LANE)),
    _Grant("+zadd +zrem", (f"%W~{_BEHIND}",)),
    _Grant("+hget +hdel +hexists", _all(_HOLDING)),
    _Grant("+llen", (f"%R~{_COLLECTED}",)),
    _Grant("+get +set", _all(_NEWEST)),
    _Grant("+zrem", (f"%W~{_DEAD}", *(f"%W~{name}" for name in _FINISHED))),
    _Grant("+hexists +hgetall +hkeys", (f"%R~{_ALL.held}", f"%R~{_ALL.causes}", f"%R~{_PARKED_OF}")),
    _Grant("+hget", (f"%R~{_ALL.limits}",)),
    _Grant("+scard", (f"%R~{_ACTIVE}",)),
    _Grant("+smembers", (f"%R~{_ALL.routes}", f"%R~{_ALL.budgets}")),
    _Grant("+hgetall", (f"%R~{_BUDGET}",)),
    _Grant("+lpush +ltrim", (f"%W~{_ALL.wake}",)),
    _Grant("+hgetall +hexists +hset +hdel", _all(_ALL.stop)),
    _Grant("+hgetall", (f"%R~{_STATS}",)),
    *_FIGURES,
    _Grant("+zrevrangebyscore", (f"%R~{_WAITING}",)),
)

_USERS: Final[dict[str, tuple[str, tuple[_Grant, ...]]]] = {
    "receiver": (f"+time +info +wait {_follow(RECEIVER.name)}", _RECEIVER),
    "worker": (f"+time +info {_follow(WORKER.name)}", _WORKER),
    "operator": (_PUBLISHING, _OPERATOR),
    "reader": ("", _READER),
    "desk": ("+time", _DESK),
}
"""What each may do without keys, beside connecting, and what with which."""
