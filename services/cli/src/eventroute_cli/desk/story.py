"""What happened to a delivery, in one paragraph of plain English: pure, from what the desk has found."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from eventroute.ids import RoutePath, parse_path
from eventroute.outcome import WHAT_TO_DO, DeadReason, RunOutcome
from eventroute.queue import Found, Held, HoldReason, Line, Situation, Standing, State, Stop
from eventroute.talk import CallRecord

_DEAD_MS: Final = 30 * 86_400_000  # as `queue/lua/lib.lua` says
_IDLE_MS: Final = 60_000  # a worker takes what is ready within milliseconds; after so long something is wrong
_THEN_REPLAY: Final = ", then replay."

_HOLDS: Final[dict[str, tuple[str, str]]] = {
    HoldReason.WITHHELD: (
        "cannot be served as it is written: a Secret or ConfigMap is missing, or its spec is wrong",
        "`kubectl describe er {name} -n {namespace}` says what is wrong; once it is mended, all goes on by itself",
    ),
    HoldReason.DELETED: (
        "was deleted",
        "create it again within ten minutes and what waits goes on by itself; after that a replay brings it back",
    ),
    HoldReason.SUSPENDED: (
        "is suspended",
        "remove `suspend` from its spec and all goes on by itself, in order; the wait counts against no deadline",
    ),
    HoldReason.GONE: (
        "has a sink that wants no more",
        "remove the sink, or mend its URL (`kubectl edit er {name} -n {namespace}`); any edit lets it be tried again",
    ),
}
"""Reason of a held route → what that is, and what to do."""


def tell(found: Found, situation: Situation, *, now_ms: int) -> str:
    """Write the paragraph.

    now_ms  Unix milliseconds, by Redis' clock
    """
    return " ".join(_sentences(found, situation, now_ms))


def advice(reason: str) -> str:
    """Say what to do about a dead letter; empty for a reason of another version."""
    return WHAT_TO_DO[DeadReason(reason)] if reason in {*DeadReason} else ""


def clock(ms: int) -> str:
    """Write a time for people: local, to the second."""
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(ms: int) -> str:
    """Write a duration for people, by its largest unit or two."""
    seconds = max(ms, 0) / 1000
    if seconds < 1:
        return f"{max(ms, 0)} ms"
    if seconds < 120:  # noqa: PLR2004 - up to two of a unit the smaller one tells more
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    if minutes < 120:  # noqa: PLR2004
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004


def held_up(path: RoutePath, hold: Held) -> str:
    """Say in a line why a route takes no turns."""
    what, _ = _HOLDS.get(hold.reason, (f"is held ({hold.reason})", ""))
    return f"{path} {what}: since {clock(hold.since)} its deliveries wait"


def stopped(stop: Stop) -> str:
    """Say who has stopped the installation, when and why."""
    why = f": {stop.reason.rstrip('.')}" if stop.reason else ""
    return f"The installation is stopped since {clock(stop.since_ms)}, by {stop.by}{why}. To go on: `eventroute start`."


def times(count: int) -> str:
    """Write how often."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _sentences(found: Found, situation: Situation, now_ms: int) -> Iterator[str]:
    line = found.line
    yield _receipt(line, now_ms)
    if line.parent:
        yield f"It is the answer to delivery {line.parent}, handed over by that one's route."
    if line.replays:
        yield f"It was replayed {times(line.replays)}."
    if line.events:
        yield f"It stands for {line.events} events of its entity, of which that is the last."
    yield from _standing(found, situation, now_ms)
    yield from map(_sending, found.sendings)
    for sink, child in found.children.items():
        yield f"By sink {sink} the answer became delivery {child} (`eventroute explain {child}`)."
    hold = situation.hold(line.route)
    if hold and not line.has_ended and line.state is not State.READY:
        yield _hold(line, hold)
    if situation.stop.is_standing and not line.has_ended:
        yield stopped(situation.stop)
    if found.is_unreadable:
        yield "What is stored of it cannot be read by this version."


def _standing(found: Found, situation: Situation, now_ms: int) -> Iterator[str]:
    line = found.line
    match line.state:
        case State.READY:
            yield from _ready(line, situation, now_ms)
        case State.RUNNING:
            yield _running(found)
        case State.LATER:
            yield _later(found)
        case State.HELD:
            yield from _held(line, situation)
        case State.THROTTLED:
            yield (
                f"{_tried(line)}, and waits for its turn at Claude, at no cost{_because(line.last_error)}: as many "
                "calls as the API takes for now were made before it. It goes on by itself, in the order of receipt."
            )
        case State.SUSPECT:
            yield (
                f"{times(max(found.cuts, 1)).capitalize()} its worker ended in the middle of an attempt, perhaps "
                "because of it: it waits for a worker to be idle, and then runs alone."
            )
        case State.BEHIND:
            yield _behind(found)
        case State.SETTLED:
            yield from _settled(found)
        case State.DEAD:
            yield from _dead(found)


def _sending(line: Line) -> str:
    """Say how far its answer is on the way to a sink."""
    _, sink = parse_path(line.route)
    more = f" (`eventroute explain {line.id}`)"
    match line.state:
        case State.LATER:
            return f"Sink {sink} is tried again at {clock(line.due_ms)}{_because(line.last_error)}{more}."
        case State.DEAD:
            return f"Sink {sink} does not have the answer: {line.detail}{more}."
        case _:
            return f"The answer is on its way to sink {sink}{more}."


def _later(found: Found) -> str:
    line = found.line
    if found.collects:
        return (
            f"It collects events of its entity, {found.collects} so far, and runs at {clock(line.due_ms)} unless there "
            "are more before that."
        )
    return f"{_tried(line)}, and waits until {clock(line.due_ms)} to be tried again{_because(line.last_error)}."


def _receipt(line: Line, now_ms: int) -> str:
    what = f"`{line.event}`" if line.event else "an event without a name"
    sender = f" of {line.provider}" if line.provider else ""
    theirs = f" (its id there: {line.provider_id})" if line.provider_id else " (without an id of its own)"
    whom = f", about {line.entity}" if line.entity else ""
    ago = span(now_ms - line.received_ms)
    answers = "an answer of ours stands" if line.hops == 1 else f"{line.hops} answers of ours stand"
    hops = f" Behind it {answers}." if line.hops else ""
    route, sink = parse_path(line.route)
    name = f"{line.id} is an answer on its way to sink {sink}, to" if sink else f"Delivery {line.id} is"
    return (
        f"{name} {what}{sender}{theirs}{whom}, "
        f"which route {route} received at {clock(line.received_ms)}, {ago} ago.{hops}"
    )


def _ready(line: Line, situation: Situation, now_ms: int) -> Iterator[str]:
    is_new = not line.attempts and not line.waits
    yield f"It was not tried {'since' if line.replays else 'yet'}." if is_new else f"{_tried(line)}."
    if hold := situation.hold(line.route):
        yield f"It waits for its route. {_hold(line, hold)}"
        return
    if situation.stop.is_standing:
        return
    since = max(line.due_ms, line.since_ms, line.received_ms)
    yield f"It is ready since {clock(since)} and waits for a free worker."
    if now_ms - since > _IDLE_MS:
        yield (
            f"That is {span(now_ms - since)}: either much was received before it, or no worker runs; "
            "`eventroute runs list` shows what runs."
        )


def _running(found: Found) -> str:
    attempt = f"A worker is at it, attempt {max(found.line.attempts, 1)}:"
    if sink := parse_path(found.line.route)[1]:
        return f"{attempt} it sends the answer to sink {sink}."
    if found.answer:
        done = f", {', '.join(found.sinks_done)} done" if found.sinks_done else ""
        return f"{attempt} the answer is there and goes to the sinks{done}."
    return f"{attempt} {'it asks Claude' if found.stage == 'asking' else 'it prepares the prompt'}."


def _held(line: Line, situation: Situation) -> Iterator[str]:
    standing = situation.trouble(line.cause)
    if standing is None:
        yield f"{_tried(line)}, and waited for a trouble that is mended by now: it goes on within seconds."
        return
    trouble = standing.trouble
    if trouble.budget:
        yield from _over_budget(line, standing)
        return
    whose = f"of model {trouble.model}" if trouble.model else "of the API key as a whole"
    others = f", as do {standing.waiting - 1} others" if standing.waiting > 1 else ""
    yield (
        f"{_tried(line)}, and waits{others} because of a "
        f"standing trouble {whose}, {trouble.reason}: {trouble.detail.rstrip('.')}."
    )
    if told := advice(trouble.reason):
        yield f"{told.removesuffix(_THEN_REPLAY)}; it then goes on by itself, and waiting costs it no attempt."


def _behind(found: Found) -> str:
    if found.ahead_is_dead:
        return (
            f"It waits for its turn: {found.ahead}, about the same entity, is a dead letter, and the route holds what "
            f"comes after one. `eventroute dead replay {found.ahead}` or `eventroute dead discard {found.ahead}` lets "
            "it go on; waiting costs it no attempt."
        )
    return (
        f"It waits for its turn: {found.ahead or 'another delivery'}, about the same entity, has not ended, and the "
        "route works on one at a time. Waiting costs it no attempt."
    )


def _over_budget(line: Line, standing: Standing) -> Iterator[str]:
    others = f", as do {standing.waiting - 1} others," if standing.waiting > 1 else ""
    yield f"{_tried(line)}, and waits{others} for room in a budget: {standing.trouble.detail}."
    yield (
        "It goes on by itself, in its order, then or when the budget rises, and waiting costs it no attempt; "
        "`eventroute budget` shows what is left."
    )


def _settled(found: Found) -> Iterator[str]:
    line = found.line
    took = span(line.ended_ms - max(line.since_ms, line.received_ms))
    model = f"{line.model or 'Claude'}{_instead(line)} answered"
    cost = f" for USD {line.cost_usd}" if line.cost_usd else ""
    at = f"{_tried(line)}, and ended at {clock(line.ended_ms)}, after {took}, as {line.outcome}:"
    match line.outcome:
        case RunOutcome.SUCCEEDED:
            sinks = f"; {', '.join(found.sinks_done)} {'has' if len(found.sinks_done) == 1 else 'have'} the answer"
            yield f"{at} {model}{cost}{sinks if found.sinks_done else ''}."
        case RunOutcome.REFUSED:
            category = f" for the category {line.reason}" if line.reason else ""
            yield (
                f"{at} {model}{cost}, and declined{category} ({line.detail}). No sink was told. Look at prompt and "
                "payload, or name another model as the prompt's `model.fallback`."
            )
        case RunOutcome.NO_TEXT if line.reason == "thinking_only":
            yield (
                f"{at} {model}{cost}, with thoughts alone, which `maxTokens` includes. No sink was told. Raise the "
                "limit, lower `model.effort`, or turn `model.thinking` off."
            )
        case RunOutcome.NO_TEXT:
            yield f"{at} {model}{cost}, without a word. No sink was told. Look at the prompt."
        case RunOutcome.TRUNCATED:
            yield f"{at} {model}{cost}, up to `maxTokens`; sinks have what there is. Raise the limit or ask for less."
        case RunOutcome.SUPERSEDED:
            asked = f" {model}{cost}, which counts." if line.model else ""
            yield f"{at} a newer event about the same entity stands for it, {line.detail}.{asked} No sink was told."
        case _:
            yield f"{at} {discarded(line.detail)}"
    yield from _remarks(found)


def _remarks(found: Found) -> Iterator[str]:
    """Say what people should hear of an ended delivery beside its outcome."""
    line, answer = found.line, found.answer
    if line.entity_error:
        yield f"The route's `entity` failed ({line.entity_error}), so that no history was told or kept."
    if missing := line.missing_fields or (answer.missing_fields if answer else ()):
        yield f"The event lacked what the prompt's template names: {', '.join(missing)}."
    if answer and answer.calls:
        yield f"Before it answered, Claude called: {'; '.join(map(tell_call, answer.calls))}."
    if found.delivery is None and not found.is_unreadable:
        yield "Its payload is not kept any more, so that it cannot be replayed."


def tell_call(call: CallRecord) -> str:
    """Tell of a call: its arguments are known by their hash only."""
    status = f" HTTP {call.status}" if call.status else ""
    took = f" in {call.duration_ms} ms" if call.duration_ms else ""
    why = f", {call.why}" if call.why else ""
    return f"{call.name}({call.arguments}) {call.outcome}{status}{took}{why}"


def _instead(line: Line) -> str:
    why = {"refused": "declined", "not_found": "exists no more"}.get(line.because, line.because)
    return f", instead of {line.instead_of} which {why}," if line.instead_of else ""


def discarded(detail: str) -> str:
    """Say why there was nothing to do: no prompt for the event, conditions that are false, or that failed."""
    _, _, conditions = detail.partition("; ")
    if not conditions:
        return "no prompt of the route is for this event, so nothing was asked. Add one if that is wrong."
    if ".when: " in conditions:
        return (
            f"a prompt's condition could not be judged, which counts as false ({conditions}), and no other prompt was "
            "for it. Mend the condition if that is wrong; `has(…)` asks for a field that may be missing."
        )
    return f"the prompts for this event have conditions that did not hold ({conditions}), so nothing was asked."


def _dead(found: Found) -> Iterator[str]:
    line = found.line
    yield (f"{_tried(line)}, and became a dead letter at {clock(line.ended_ms)}: {line.reason}{_because(line.detail)}.")
    if line.last_error and line.last_error not in line.detail:
        yield f"Before that it had met: {line.last_error.rstrip('.')}."
    if found.answer and found.answer.goes_on:
        yield "What it has said and done so far is saved, and a replay goes on there."
    elif found.answer and not found.answer.violation:
        yield "Its answer is saved, and a replay does not pay for it again."
    if told := advice(line.reason):
        yield told
    if line.holds:
        yield f"Until then {line.holds} of the same entity wait{'s' if line.holds == 1 else ''} for it."
    yield (
        f"To replay: `eventroute dead replay {line.id}`; to drop it: `eventroute dead discard {line.id}`; it is kept "
        f"until {clock(line.ended_ms + _DEAD_MS)}."
    )


def _hold(line: Line, hold: Held) -> str:
    namespace, _, name = parse_path(line.route)[0].partition("/")
    what, todo = _HOLDS.get(hold.reason, (f"is held ({hold.reason})", "see the workers' logs"))
    more = f" ({hold.detail})" if hold.detail else ""
    return (
        f"The route takes no turns since {clock(hold.since)}, as it {what}{more}: "
        f"{todo.format(namespace=namespace, name=name)}."
    )


def _tried(line: Line) -> str:
    if not line.attempts and not line.waits:
        return "It was not asked about"
    tried = f"It was tried {times(line.attempts)}" if line.attempts else "It has used no attempt"
    return tried + (f" and waited {times(line.waits)} for passing troubles" if line.waits else "")


def _because(why: str) -> str:
    return f": {why.rstrip('.')}" if why else ""
