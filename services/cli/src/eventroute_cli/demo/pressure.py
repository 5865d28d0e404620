"""The second act: more than Claude may be asked at once, and what keeps it in order.

A burst meets a rate limit, alerts of one name become one run, and a budget has room for some of its orders only.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from eventroute.crd.v1alpha1 import Budget, Debounce, EventRoute
from eventroute.errors import GaveUp
from eventroute.ids import RoutePath
from eventroute.outcome import Receipt
from eventroute.queue import State, Wanted
from eventroute_cli.demo.scenario import Row, Sender

_BURST: Final = 30
_PER_SECOND: Final = 10
"""Calls that the simulator allows during the burst: some seconds of work."""
_ALERTS: Final = 8
_ORDERS: Final = 5
_BUDGET_TOKENS: Final = 2500
"""Room for the first orders: one call is reserved at some 2,000, and costs a few hundred in the end."""
_MANY: Final = 1_000_000
_HELD_S: Final = 10.0
_LOOK_S: Final = 0.05


class _Call(msgspec.Struct):
    """What the simulator's journal tells of a call."""

    class Given(msgspec.Struct):
        """What was answered."""

        status: int

    received_ns: int
    given: Given


class Act(NamedTuple):
    """One part of it, over."""

    title: str
    said: str
    rows: Sequence[Row]


async def press(sender: Sender, *, simulator_url: str | None) -> list[Act]:
    """Play the second act.

    simulator_url  where limits can be set; None = Claude itself answers, whose limits are what they are
    raises         `GaveUp` when something does not end as it should
    """
    acts = [await _burst(sender, simulator_url)] if simulator_url else []
    await sender.serve(_under_pressure)
    return [*acts, *await asyncio.gather(_alerts(sender), _orders(sender))]


def _under_pressure(route: EventRoute) -> EventRoute:
    match route.spec.provider:
        case "alertmanager":
            change: dict[str, Any] = {"debounce": Debounce(quiet="1s", max="1m")}
        case "shopify":
            change = {"budget": Budget(tokens=_BUDGET_TOKENS)}
        case _:
            return route
    return route.model_copy(update={"spec": route.spec.model_copy(update=change)})


async def _burst(sender: Sender, simulator_url: str) -> Act:
    """Send a batch that asks for more calls than the API allows at once."""
    route = sender.by_provider["hubspot"]

    def batch(body: Any) -> Any:
        return [{**body[0], "eventId": body[0]["eventId"] + n, "objectId": 2001 + n} for n in range(_BURST)]

    rows = _rows("contact", route, _BURST)
    async with _limited(sender, simulator_url):
        began_ns, started = time.time_ns(), time.monotonic()
        await _run(sender, rows, sender.signed(route, "contact.creation", batch))
        seconds = time.monotonic() - started
        calls = await _calls(sender, simulator_url, since_ns=began_ns)
    answered = [call for call in calls if call.given.status == HTTPStatus.OK]
    allowed = _PER_SECOND * (1 + (answered[-1].received_ns - answered[0].received_ns) / 1e9)
    said = (
        f"all answered after {seconds:.1f} s, with {min(len(answered) / allowed, 1):.0%} of what was allowed; "
        f"{len(calls) - len(answered)} of {len(calls)} calls refused (429)"
    )
    return Act(f"{_BURST} contacts in one batch, {_PER_SECOND} calls a second allowed", said, rows)


@asynccontextmanager
async def _limited(sender: Sender, simulator_url: str) -> AsyncIterator[None]:
    async def allow(*, requests: int, burst_s: int) -> None:
        limits = {"requests": requests, "burst_s": burst_s}
        (await sender.client.patch(f"{simulator_url}/simulator/limits", json=limits)).raise_for_status()

    await allow(requests=60 * _PER_SECOND, burst_s=1)
    yield
    await allow(requests=_MANY, burst_s=60)


async def _calls(sender: Sender, simulator_url: str, *, since_ns: int) -> Sequence[_Call]:
    found = await sender.client.get(f"{simulator_url}/simulator/requests")
    calls = msgspec.json.decode(found.content, type=list[_Call])
    return [call for call in calls if call.received_ns >= since_ns]


async def _alerts(sender: Sender) -> Act:
    """Send alerts of one name, which become one run."""
    route = sender.by_provider["alertmanager"]

    def group(body: Any) -> Any:
        first = body["alerts"][0]
        alerts = [
            {**first, "labels": {**first["labels"], "instance": f"checkout-{n}"}, "fingerprint": f"{n:016x}"}
            for n in range(1, _ALERTS + 1)
        ]
        return {**body, "alerts": alerts}

    rows = _rows("alert", route, _ALERTS, later=Receipt.DEBOUNCED)
    await _run(sender, rows, sender.signed(route, "CheckoutErrors.firing", group))
    if len({row.delivery for row in rows}) != 1:
        raise GaveUp("the alerts did not become one run")
    return Act(f"{_ALERTS} alerts of one name at once", "one answer about all of them (debounce)", rows)


async def _orders(sender: Sender) -> Act:
    """Send orders that a budget has no room for; it is raised once they wait."""
    route = sender.by_provider["shopify"]
    rows = _rows("order", route, _ORDERS)
    for row in rows:
        await sender.post([row], sender.signed(route, "orders/create"))
    held = await _until_held(sender, rows)
    await sender.serve()
    await asyncio.gather(*map(sender.settle, rows))
    _check(rows)
    said = f"{_ORDERS - held} answered, {held} held; the budget was raised, and they went on by themselves"
    return Act(f"{_ORDERS} orders, a budget for fewer", said, rows)


async def _until_held(sender: Sender, rows: Sequence[Row]) -> int:
    """Wait until each is answered or held; returns how many are held."""
    deadline = time.monotonic() + _HELD_S
    ids = {row.delivery for row in rows}
    while time.monotonic() < deadline:
        found = (await sender.desk.look(Wanted(route=rows[0].route), limit=100)).lines
        states = [line.state for line in found if line.id in ids]
        held = states.count(State.HELD)
        if held and held + states.count(State.SETTLED) == len(rows):
            return held
        await asyncio.sleep(_LOOK_S)
    raise GaveUp(f"{rows[0].route}: the budget held nothing back within {_HELD_S:g} s")


def _rows(what: str, route: RoutePath, count: int, *, later: str = Receipt.QUEUED) -> list[Row]:
    return [Row(f"{what} {n}", route, later if n > 1 else Receipt.QUEUED) for n in range(1, count + 1)]


async def _run(sender: Sender, rows: Sequence[Row], request: Any) -> None:
    await sender.post(rows, request)
    await asyncio.gather(*map(sender.settle, rows))
    _check(rows)


def _check(rows: Sequence[Row]) -> None:
    for row in rows:
        if not row.is_as_expected:
            ending = f", {row.run.outcome} {row.run.detail}" if row.run else ""
            raise GaveUp(f"{row.title} of {row.route}: not as expected: {row.receipt}{ending}")
