"""Kubernetes Events: what happened to a route, when it happens, and never for a single delivery.

    Programmed      Normal   the route became ready
    <a reason>      Warning  it is no longer ready, or never was: the reason of the condition that says so
    ModelRetires    Warning  a model of it goes away: once that is known, and 60, 14 and 3 days before
    NothingMatched  Warning  an hour after its first event, none was for Claude
    SecretRotated   Normal   a Secret to verify with was changed, and is in use
    BudgetNearlySpent  Warning  so much of a budget is spent that its owner is to hear of it; once a period

Pure, but for `Announcer`, which posts them: a few at a time, as Events are for people, and losing one loses nothing.
"""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import structlog

from eventroute.crd.status import ConditionType, StatusReason
from eventroute.crd.v1alpha1 import API_VERSION, KIND
from eventroute.errors import EventRouteError
from eventroute.ids import RoutePath
from eventroute.route_table import INSTALLATION, whose
from eventroute_operator import metrics
from eventroute_operator.api import FIELD_MANAGER
from eventroute_operator.cluster import RouteObject

BUDGET_NEARLY_SPENT: Final = "BudgetNearlySpent"
SECRET_ROTATED: Final = "SecretRotated"  # noqa: S105 - a reason's name

_PASSING: Final = frozenset({StatusReason.PROPAGATING})
"""Nothing that a person could do anything about."""
_WAITING: Final = 200  # Events; more at once are dropped. Arbitrary.
_PER_SECOND: Final = 10.0
_MAX_NAME: Final = 200  # of the 253 characters that the Event's own name may have


class Announcement(NamedTuple):
    """One Event."""

    route: RouteObject
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def announcements(route: RouteObject, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Announcement]:
    """Compare two statuses of a route; what did not change is not told."""
    old, new = (_condition(status, ConditionType.READY) for status in (before, after))
    is_ready, reason = new.get("status") == "True", str(new.get("reason"))
    if is_ready and old.get("status") != "True":
        yield Announcement(route, "Normal", StatusReason.PROGRAMMED, "the route is served as it is written")
    elif not is_ready and reason != old.get("reason") and reason not in _PASSING:
        yield Announcement(route, "Warning", reason, str(new.get("message")))
    if (notice := _notice(after)) and notice != _notice(before):
        yield Announcement(route, "Warning", StatusReason.MODEL_RETIRES, notice)
    if (idle := _idle(after)) and not _idle(before):
        yield Announcement(route, "Warning", StatusReason.NOTHING_MATCHED, idle)
    if is_ready and (rotated := _rotated(before, after)):
        names = ", ".join(sorted(rotated))
        yield Announcement(route, "Normal", SECRET_ROTATED, f"Secret {names} changed, and is in use")


def warning_of_budget(scope: str, ends_ms: int, routes: Mapping[RoutePath, RouteObject]) -> Iterator[Announcement]:
    """Tell of a budget that is nearly spent: a route's at the route, another one once in each of its namespaces."""
    ends = datetime.fromtimestamp(ends_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = f"the budget of {whose(scope)} is nearly spent; its period ends at {ends}"
    told: set[str] = set()
    for path, route in sorted(routes.items()):
        if scope in {path, route.key.namespace, INSTALLATION} and route.key.namespace not in told:
            told.add(route.key.namespace)
            yield Announcement(route, "Warning", BUDGET_NEARLY_SPENT, message)


def _condition(status: Mapping[str, Any], kind: ConditionType) -> Mapping[str, Any]:
    return next((each for each in status.get("conditions") or [] if each.get("type") == kind), {})


def _notice(status: Mapping[str, Any]) -> str:
    """Read which model goes away, and when: the words change as the day comes nearer. Empty = none does."""
    return _working(status, StatusReason.MODEL_RETIRES)


def _idle(status: Mapping[str, Any]) -> str:
    """Read what became of the events; the figures grow. Empty = something came of them, or nobody knows yet."""
    return _working(status, StatusReason.NOTHING_MATCHED)


def _working(status: Mapping[str, Any], reason: StatusReason) -> str:
    working = _condition(status, ConditionType.WORKING)
    return str(working.get("message")) if working.get("reason") == reason else ""


def _rotated(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    old = {each.get("name"): each.get("revision") for each in before.get("secrets") or []}
    return {
        each["name"]
        for each in after.get("secrets") or []
        if old.get(each["name"]) and each.get("revision") not in {None, old[each["name"]]}
    }


def build_event(told: Announcement, now: datetime) -> dict[str, Any]:
    """Write an Event of `events.k8s.io/v1`."""
    key = told.route.key
    return {
        "metadata": {"name": f"{key.name[:_MAX_NAME]}.{uuid.uuid4().hex[:16]}", "namespace": key.namespace},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "eventroute.dev/operator",
        "reportingInstance": FIELD_MANAGER,
        "action": "Reconcile",
        "type": told.type,
        "reason": told.reason,
        "note": told.message,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": told.route.uid,
        },
    }


class Announcer:
    """Posts Events, at a bounded rate."""

    def __init__(self, post: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        """Take what creates an Event."""
        self._post = post
        self._waiting: deque[Announcement] = deque()
        self._arrived = asyncio.Event()

    def announce(self, told: Announcement) -> None:
        """Queue an Event; never waits."""
        if len(self._waiting) >= _WAITING:
            metrics.EVENTS.labels("dropped").inc()
            return
        self._waiting.append(told)
        self._arrived.set()

    async def run(self) -> None:
        """Post for ever."""
        log = structlog.get_logger()
        while True:
            await self._arrived.wait()
            while self._waiting:
                began, told = time.monotonic(), self._waiting.popleft()
                try:
                    await self._post(build_event(told, datetime.now(UTC)))
                    metrics.EVENTS.labels("posted").inc()
                except EventRouteError as error:  # a namespace that ends takes no more Events, for one
                    metrics.EVENTS.labels("failed").inc()
                    log.warning("event_not_posted", reason=told.reason, error=str(error))
                await asyncio.sleep(max(0.0, 1 / _PER_SECOND - (time.monotonic() - began)))
            self._arrived.clear()
