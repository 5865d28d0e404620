"""A route's status, from what is known of it. Pure; the vocabulary is `eventroute.crd.status`.

A condition's time moves only when its status flips, messages never hold what changes by itself, and what is not known
now (Redis away, statistics not read yet) is carried over from the status before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from eventroute.compile import Condition, Verdict
from eventroute.crd.status import (
    MAX_MESSAGE_LENGTH,
    REASONS,
    ConditionType,
    CountsStatus,
    EventRouteStatus,
    LastDeliveryStatus,
    ProgrammedStatus,
    SecretStatus,
    StatusCondition,
    StatusReason,
)
from eventroute.ids import route_path
from eventroute.outcome import Receipt, RunOutcome
from eventroute.runtime.stats import RouteStats
from eventroute.schemes import INSIDE
from eventroute_operator.fleet import Fleet, Published, programming, receivers_have, redis_troubles, workers_have
from eventroute_operator.judge import Judged
from eventroute_operator.obstacles import Obstacles
from eventroute_operator.scaling import Scaling

_READY_NEEDS: Final = (
    ConditionType.ACCEPTED,
    ConditionType.SECRETS_RESOLVED,
    ConditionType.PROMPTS_VALID,
    ConditionType.PROGRAMMED,
)
_TRUE: Final = {
    ConditionType.ACCEPTED: StatusReason.ACCEPTED,
    ConditionType.SECRETS_RESOLVED: StatusReason.RESOLVED,
    ConditionType.PROMPTS_VALID: StatusReason.VALID,
}
_LEFT_OUT: Final = (Receipt.FILTERED, Receipt.OWN_ACTION, Receipt.SUSPENDED)
_REFUSED: Final = (
    Receipt.UNAUTHENTICATED,
    Receipt.TOO_LARGE,
    Receipt.UNSUPPORTED,
    Receipt.UNPARSABLE,
    Receipt.RATE_LIMITED,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a status is made of."""

    judged: Judged
    published: Published
    fleet: Fleet
    scaling: Scaling
    stats: RouteStats | None
    """None = not read yet."""
    obstacles: Obstacles | None
    """None = not read yet."""
    hooks_url: str | None
    now: datetime


def build_status(facts: Facts, before: Mapping[str, Any]) -> dict[str, Any]:
    """Write the status as JSON.

    before  the route's latest status, whoever wrote it
    """
    old = _read(before)
    route = facts.judged.route
    path = route_path(*route.key)
    spec = None if isinstance(route.spec, tuple) else route.spec.spec
    has_url = spec is None or spec.provider != INSIDE.name
    status = EventRouteStatus(
        observed_generation=route.generation,
        conditions=tuple(_conditions(facts, old)),
        path=f"/hooks/{path}" if has_url else None,
        url=f"{facts.hooks_url.rstrip('/')}/{path}" if facts.hooks_url and has_url else None,
        model=spec.model.name if spec else None,
        secrets=tuple(_secrets(facts, old)),
        programmed=_programmed(facts, old),
        last_delivery=_last_delivery(facts.stats) if facts.stats else old.last_delivery,
        counts=_counts(facts.stats) if facts.stats else old.counts,
    )
    told = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {field: value for field, value in told.items() if value != []}


def rfc3339(time: datetime) -> str:
    """Write a time as Kubernetes does."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(status: Mapping[str, Any]) -> EventRouteStatus:
    try:
        return EventRouteStatus.model_validate_json(msgspec.json.encode(status))
    except ValueError:  # written by somebody else: nothing to carry over
        return EventRouteStatus()


# --- conditions -------------------------------------------------------------------------------------------------------

_Status = Literal["True", "False", "Unknown"]


def _conditions(facts: Facts, old: EventRouteStatus) -> Iterator[StatusCondition]:
    before = {condition.type: condition for condition in old.conditions}
    now: dict[ConditionType, StatusCondition] = {}

    def add(kind: ConditionType, status: _Status, reason: str, message: str) -> StatusCondition:
        previous = before.get(kind)
        since = previous.last_transition_time if previous and previous.status == status else rfc3339(facts.now)
        now[kind] = StatusCondition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_transition_time=since,
            observed_generation=facts.judged.route.generation,
        )
        return now[kind]

    for kind in (ConditionType.ACCEPTED, ConditionType.SECRETS_RESOLVED, ConditionType.PROMPTS_VALID):
        yield add(kind, *_judgement(facts.judged, kind))
    yield add(ConditionType.PROGRAMMED, *_programming(facts))
    if working := _working(facts, before):
        yield add(ConditionType.WORKING, *working)
    yield add(ConditionType.SCALING_READY, *_of_reason(facts.scaling.reason, facts.scaling.message))
    failed = next((now[kind] for kind in _READY_NEEDS if now[kind].status != "True"), None)
    if failed:
        yield add(ConditionType.READY, "False", failed.reason, failed.message)
    else:
        yield add(ConditionType.READY, *_of_reason(StatusReason.READY))
    if last := _last_delivery_succeeded(facts, before):
        yield add(ConditionType.LAST_DELIVERY_SUCCEEDED, *last)


def _judgement(judged: Judged, kind: ConditionType) -> tuple[_Status, str, str]:
    verdict = judged.verdict
    if isinstance(verdict, Verdict):
        problems = verdict.of(Condition(kind.value))
        if problems:
            return "False", problems[0].reason, problems[0].message
        return _of_reason(_TRUE[kind])
    mistake = verdict[0]
    message = _bounded(f"{mistake.field or 'the object'}: {mistake.message}")
    if kind is ConditionType.ACCEPTED:
        return "False", StatusReason.INVALID_SPEC, message
    return "Unknown", StatusReason.INVALID_SPEC, "cannot be judged before the spec is valid"


def _programming(facts: Facts) -> tuple[_Status, str, str]:
    judged = facts.judged
    if not judged.is_served:
        return _of_reason(StatusReason.NOT_SERVED, _half(facts))
    reason = programming(route_path(*judged.route.key), facts.published, facts.fleet)
    troubles = redis_troubles(facts.fleet)
    return _of_reason(reason, f"{REASONS[reason].meaning} Redis: {troubles}" if troubles else "")


def _half(facts: Facts) -> str:
    """Say what is served of a route that is not served as it is written; empty = nothing."""
    judged, published = facts.judged, facts.published
    former = [each for each in (published.former_receiver, published.former_worker) if each is not None]
    takes = judged.receiver is not None or published.former_receiver is not None
    works = judged.worker is not None or published.former_worker is not None
    if takes and works:
        return f"Another condition is false; until it holds, generation {min(former)} of what is wrong stays served."
    if takes:
        return "Another condition is false; until it holds, events are taken, and wait."
    if works:
        return "Another condition is false; until it holds, senders are told to come back; what is queued is worked on."
    return ""


def _working(facts: Facts, before: Mapping[str, StatusCondition]) -> tuple[_Status, str, str] | None:
    if facts.judged.worker and facts.judged.worker.is_suspended and not (facts.obstacles and facts.obstacles.stop):
        return _of_reason(StatusReason.SUSPENDED)
    if facts.obstacles is None:
        return _as_before(before, ConditionType.WORKING)
    obstacle = facts.obstacles.of(facts.judged, facts.stats, facts.now)
    if obstacle is None and facts.stats is None and _was_idle(facts, before):
        return _as_before(before, ConditionType.WORKING)
    return _of_reason(obstacle.reason, obstacle.message) if obstacle else _of_reason(StatusReason.WORKING)


def _was_idle(facts: Facts, before: Mapping[str, StatusCondition]) -> bool:
    kept, generation = before.get(ConditionType.WORKING), facts.judged.route.generation
    return bool(kept and (kept.reason, kept.observed_generation) == (StatusReason.NOTHING_MATCHED, generation))


def _as_before(before: Mapping[str, StatusCondition], kind: ConditionType) -> tuple[_Status, str, str] | None:
    kept = before.get(kind)
    return (kept.status, kept.reason, kept.message) if kept else None


def _last_delivery_succeeded(facts: Facts, before: Mapping[str, StatusCondition]) -> tuple[_Status, str, str] | None:
    if facts.stats is None:
        return _as_before(before, ConditionType.LAST_DELIVERY_SUCCEEDED)
    if facts.stats.last is None:
        return None
    reason = facts.stats.last.outcome.title().replace("_", "")
    return _of_reason(reason) if reason in REASONS else None


def _of_reason(reason: str, message: str = "") -> tuple[_Status, str, str]:
    page = REASONS[reason]
    status: _Status = "True" if page.status == "True" else "Unknown" if page.status == "Unknown" else "False"
    return status, str(reason), _bounded(message or page.meaning)


def _bounded(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[: MAX_MESSAGE_LENGTH - 1] + "…"


# --- the rest ---------------------------------------------------------------------------------------------------------


def _secrets(facts: Facts, old: EventRouteStatus) -> Iterator[SecretStatus]:
    route = facts.judged.route
    matched_before = {(secret.name, secret.key): secret.last_matched for secret in old.secrets}
    for ref in () if isinstance(route.spec, tuple) else route.spec.spec.secret_refs:
        if facts.stats is None:
            matched = matched_before.get((ref.name, ref.key))
        else:
            at = facts.stats.secrets.get(f"{ref.name}/{ref.key}")
            matched = _time(at) if at else None
        yield SecretStatus(
            name=ref.name, key=ref.key, revision=facts.judged.revisions.get(ref.name), last_matched=matched
        )


def _programmed(facts: Facts, old: EventRouteStatus) -> ProgrammedStatus | None:
    """Tell which generation receivers and workers serve."""
    judged, published = facts.judged, facts.published
    generation, before = judged.route.generation, old.programmed or ProgrammedStatus()
    receiver, worker = before.receiver, before.worker
    if judged.receiver is None:
        receiver = published.former_receiver
    elif receivers_have(published, facts.fleet):
        receiver = generation
    if judged.worker is None:
        worker = published.former_worker
    elif workers_have(published, facts.fleet):
        worker = generation
    programmed = ProgrammedStatus(receiver=receiver, worker=worker)
    return programmed if programmed != ProgrammedStatus() else None


def _last_delivery(stats: RouteStats) -> LastDeliveryStatus | None:
    last = stats.last
    if last is None:
        return None
    return LastDeliveryStatus(
        time=_time(last.time_ms), outcome=last.outcome, delivery=last.delivery, trace_id=last.trace_id or None
    )


def _counts(stats: RouteStats) -> CountsStatus | None:
    if not stats.receipts and not stats.runs:
        return None
    receipts, runs = stats.receipts, stats.runs
    return CountsStatus(
        accepted=receipts.get(Receipt.QUEUED, 0) + receipts.get(Receipt.REDELIVERED, 0),
        duplicate=receipts.get(Receipt.DUPLICATE, 0),
        filtered=sum(receipts.get(receipt, 0) for receipt in _LEFT_OUT),
        refused=sum(receipts.get(receipt, 0) for receipt in _REFUSED),
        succeeded=runs.get(RunOutcome.SUCCEEDED, 0),
        dead=runs.get(RunOutcome.DEAD, 0) + receipts.get(Receipt.UNDECIDED, 0),
    )


def _time(unix_ms: int) -> str:
    return rfc3339(datetime.fromtimestamp(unix_ms // 1000, UTC))
