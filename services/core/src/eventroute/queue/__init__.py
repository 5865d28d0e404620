"""The queue, whole: its keys, the scripts that change them, the states that they make, and every call to them.

    admit ──▶ ready ──lease──▶ running ──settle──▶ settled ──(retention)──▶ gone
      │         ▲ ▲               │ │ │ ╲
      │         │ └──── due ── later◀┘ │  ╲─settle─▶ dead ──(30 days, or the bound)──▶ gone
      │         │  put_back(pause)     │             ▲  │
      │         ├── unpark ── parked ◀─┤ park        │  └─replay, admit again──▶ ready
      │         ├── call_up ─ throttled ◀┘ wait      │
      │         │                                    │
      │         └── suspect ◀── lease over in the middle of an attempt
      └─────────────── bury (unreadable, undecided) ─┘

    state      where                        who makes it
    ready      `ready:<path>`               receiver (admit); worker (put_back, unpark, a lease that ran out); people
    running    `running`                    worker (lease), fenced: see below
    later      `later`                      worker (put_back): a passing trouble, a failed attempt
    throttled  `waiting:<bucket>:<path>`    worker (wait): no place at the throttle, until it is granted one (call_up)
    held       `parked:<cause>`             worker (park): a standing trouble of a key or model, until `unpark`; a
                                            budget without room, until `afford`
    behind     `behind:<path>`              receiver, worker, people: another one of its lane has not ended
    suspect    `suspects`                   worker (lease), for what may have killed its worker: leased alone
    settled    `{bodies,answers,records}:<path>`   worker (settle); sheds one after the other by the route's retention
    dead       `dead:<path>`                worker (settle), receiver (admit): until replayed, discarded, or a month old

Those of a *lane* (one entity of a route that works on one at a time of each) are worked on in the order of acceptance:
one has the lane until it has ended, whatever becomes of it meanwhile, and the others are *behind* it. A dead letter
leaves its lane, or holds it until it is replayed or discarded, where the route says so (`strict`). Two functions of
`lua/lib.lua` see to that: `make_ready`, by which all become ready, and `leave`.

A delivery of a route that debounces *collects* events of its entity while it is `later`: they become its body when it
is due (`lua/lease.lua`).

Where a newer event *supersedes* those before it about the same entity, admission marks the last one (`newest`) unless
it has its final answer. Whatever it waited for, be it its lane, it is ready then and a worker ends it; one that runs
hears of it when its lease is renewed, or its answer is saved. What waited leaves its place in line. One that dies of
something else holds no lane.

A route may be *held* as a whole (`hold`, `release`), while it cannot be served or is suspended: it takes no turns, and
what is ready stays where it is. What is parked of it joins that where it would be in the way of a probe, or when a
deleted route's is buried. Routes that are not held take turns, one delivery each, so that a flood of one delays no
other. One of which as many run as may (`limits`) takes none until one of them ends.

What the throttle (`eventroute.throttle`) has no place for waits at its bucket, in the order of acceptance, its routes
taking turns. When a bucket is due (`turns`: a limit has been refilled, or a call has ended: `hurry`), a worker with
free slots asks whose turn it is (`turn`), asks the throttle for as many places, and makes ready those that got one. An
attempt that ends without taking its place gives it back. Whoever dies in between loses some seconds of one. What waits
for longer than its route's deadline is a dead letter when its turn comes.

An installation may be *stopped* as a whole (`stop`, `start`): one key of the first group says so to the workers of all
groups, who take nothing while it stands.

Each lease has a number, the fence, and each script that acts for a worker names it: once another worker has the
delivery, nothing of the first one changes anything. A lease that ran out counts as an attempt if one had begun.

What calls cost is kept beside it: `eventroute.queue.ledger`.

All times are Redis' own. Every script touches one server only, may be called again when its reply got lost, and works
in a full Redis but for `admit`, which is what must not.

Fields of a delivery's hash: `body` (`eventroute.delivery`), `path`, `trace` (context of its receipt), `seq` (its place
in line: the order of acceptance, or the place of what it superseded while that waited), `order` (of acceptance, where
it may have another's place), `at` (when), `lane` (its entity, hashed), `collects` (for whom, until it is due), `events`
(how many it stands for, if several), `newest_of` (the entity, hashed, of which it was the newest event),
`superseded_by` (a newer one), `since` (when it was replayed or unparked last, was due with what it has collected, or
got its turn in its lane: its deadline counts from there), `state`, `fence`, `stage` (`begun`, `asking`), `attempts`,
`waits` (puttings back that cost no attempt), `cuts` (attempts cut short), `due`, `cause` (a trouble, or a bucket),
`size` (of the call that waits for a bucket), `need` (what has no room in a budget), `probe` (the cause that it is to
see mended, until it has asked), `alone`; of the run: `talk` and `talk:*` (a conversation with tools that
goes on, `eventroute_worker.talk`), `answer` (the checkpoint), `saved` (when), `answered` (it is
final, of one that could be superseded), `sink:<name>` (done), `remembered`, `last_traceparent`, `last_error`,
`replays`; and once it has ended `outcome`, `reason`, `detail`, `finished`, `about`.
When its body goes, what only another run needs goes too: `path`, `state`, `at`, `since`, `attempts`, `replays`, what it
has of its end, `trace` and `answer` are left; of which the last two go next.
"""

from eventroute.queue.admission import (
    Admissions,
    Admitted,
    Again,
    Candidate,
    Fate,
    Full,
    Joined,
    Limited,
    Limits,
    New,
    Repeat,
)
from eventroute.queue.desk import Desk, Found, KeptAnswer, Line, Listing, Mode, Situation, Spent, State, Wanted
from eventroute.queue.keys import FIRST, Group, group_of
from eventroute.queue.ledger import Account, Exceeded, Ledger
from eventroute.queue.load import Load, read_load
from eventroute.queue.upkeep import Held, HoldReason, Limit, Standing, Stop, Upkeep
from eventroute.queue.work import (
    NOTHING_SAID,
    Amount,
    Begun,
    Lease,
    LeaseLost,
    Renewed,
    Retention,
    Taken,
    Trouble,
    Turn,
    Work,
    budget_cause,
)

__all__ = [
    "FIRST",
    "NOTHING_SAID",
    "Account",
    "Admissions",
    "Admitted",
    "Again",
    "Amount",
    "Begun",
    "Candidate",
    "Desk",
    "Exceeded",
    "Fate",
    "Found",
    "Full",
    "Group",
    "Held",
    "HoldReason",
    "Joined",
    "KeptAnswer",
    "Lease",
    "LeaseLost",
    "Ledger",
    "Limit",
    "Limited",
    "Limits",
    "Line",
    "Listing",
    "Load",
    "Mode",
    "New",
    "Renewed",
    "Repeat",
    "Retention",
    "Situation",
    "Spent",
    "Standing",
    "State",
    "Stop",
    "Taken",
    "Trouble",
    "Turn",
    "Upkeep",
    "Wanted",
    "Work",
    "budget_cause",
    "group_of",
    "read_load",
]
