"""What `explain` says of a delivery in each state, and that every dead letter has something to do about it."""

from collections.abc import Sequence
from typing import Any

import pytest

from eventroute.ids import DeliveryId, RoutePath, sending_path
from eventroute.outcome import WHAT_TO_DO, DeadReason
from eventroute.queue import Found, Group, Held, KeptAnswer, Line, Situation, Standing, State, Stop, Trouble
from eventroute_cli.desk.story import advice, discarded, held_up, span, tell

PATH = RoutePath("team-a/triage")
NOW = 1_800_000_000_000
QUIET = Situation({}, [])
TROUBLE = Trouble(reason="billing", detail="no credit", key_id="own", model="")
STANDING = Situation({}, [Standing(TROUBLE, 7, {PATH: 7})])


def found(
    *, answer: KeptAnswer | None = None, sinks: Sequence[str] = (), stage: str = "", cuts: int = 0, **line: Any
) -> Found:
    fields: dict[str, Any] = {
        "id": DeliveryId("d-1"),
        "route": PATH,
        "state": State.READY,
        "provider": "github",
        "event": "issues.opened",
        "provider_id": "gh-1",
        "received_ms": NOW - 10_000,
        "attempts": 1,
    }
    return Found(Line(**{**fields, **line}), Group(0), None, False, answer, sinks, stage, cuts, "")  # noqa: FBT003


def held(reason: str) -> Situation:
    return Situation({PATH: Held(reason, "", NOW)}, [])


OVER_BUDGET = Trouble(
    reason="budget",
    detail="the budget of namespace team-a, USD 20, has no room; its period ends at noon",
    budget="team-a",
)

STORIES: dict[str, tuple[Found, Situation, tuple[str, ...]]] = {
    "who, what, when": (
        found(entity="7"),
        QUIET,
        ("`issues.opened` of github (its id there: gh-1), about 7,", "route team-a/triage received", "10 s ago"),
    ),
    "an answer behind it": (found(hops=1), QUIET, ("Behind it an answer of ours stands.",)),
    "answers behind it": (found(hops=3), QUIET, ("Behind it 3 answers of ours stand.",)),
    "ready": (found(attempts=0), QUIET, ("not tried yet", "waits for a free worker")),
    "ready for long": (found(received_ms=NOW - 600_000), QUIET, ("That is 10 min", "no worker runs")),
    "its route is withheld": (
        found(),
        held("withheld"),
        ("waits for its route", "kubectl describe er triage -n team-a"),
    ),
    "the route of an answer that is to be sent is withheld": (
        found(id=DeliveryId("d-1:own"), route=sending_path(PATH, "own")),
        Situation({sending_path(PATH, "own"): Held("withheld", "", NOW)}, []),
        ("waits for its route", "kubectl describe er triage -n team-a"),
    ),
    "its route is deleted": (found(), held("deleted"), ("was deleted", "create it again within ten minutes")),
    "its route is suspended": (found(), held("suspended"), ("waits for its route", "is suspended", "remove `suspend`")),
    "held for a reason of another version": (found(), held("odd"), ("is held (odd)",)),
    "collecting": (
        found(state=State.LATER, due_ms=NOW, attempts=0)._replace(collects=4),
        QUIET,
        ("collects events of its entity, 4 so far",),
    ),
    "it stood for several": (
        found(state=State.SETTLED, outcome="succeeded", events=4),
        QUIET,
        ("It stands for 4 events of its entity",),
    ),
    "over a budget": (
        found(state=State.HELD, cause="budget:team-a"),
        Situation({}, [Standing(OVER_BUDGET, 3, {PATH: 3})]),
        (
            "waits, as do 2 others, for room in a budget",
            "the budget of namespace team-a, USD 20, has no room; its period ends at noon.",
            "goes on by itself, in its order",
            "`eventroute budget`",
        ),
    ),
    "behind another one": (
        found(state=State.BEHIND)._replace(ahead=DeliveryId("d-0")),
        QUIET,
        ("d-0, about the same entity, has not ended", "one at a time"),
    ),
    "behind a dead letter": (
        found(state=State.BEHIND)._replace(ahead=DeliveryId("d-0"), ahead_is_dead=True),
        QUIET,
        ("d-0, about the same entity, is a dead letter", "`eventroute dead replay d-0`", "dead discard d-0"),
    ),
    "a dead letter that others wait for": (
        found(state=State.DEAD, outcome="dead", reason="render", holds=3),
        QUIET,
        ("Until then 3 of the same entity wait for it.",),
    ),
    "all is stopped": (
        found(),
        Situation({}, [], Stop(since_ms=NOW, by="ada@desk", reason="wrong answers.")),
        (
            "It was tried once. The installation is stopped since 20",
            ", by ada@desk: wrong answers. To go on: `eventroute",
        ),
    ),
    "asking": (found(state=State.RUNNING, stage="asking"), QUIET, ("attempt 1", "asks Claude")),
    "telling sinks": (
        found(state=State.RUNNING, answer=KeptAnswer(), sinks=["log"]),
        QUIET,
        ("goes to the sinks, log done",),
    ),
    "later": (
        found(state=State.LATER, attempts=0, waits=2, last_error="529 overloaded", due_ms=NOW + 5000),
        QUIET,
        ("used no attempt and waited twice for passing troubles", "to be tried again: 529 overloaded."),
    ),
    "parked": (
        found(state=State.HELD, cause="own:*"),
        STANDING,
        ("as do 6 others", "billing: no credit", "Mend the account's billing or its credit; it then goes on by itself"),
    ),
    "parked for what is mended": (found(state=State.HELD, cause="own:*"), QUIET, ("goes on within seconds",)),
    "throttled": (
        found(state=State.THROTTLED, attempts=0, cause="own:haiku-5-5", last_error="429 rate_limit_error"),
        QUIET,
        ("waits for its turn at Claude, at no cost: 429 rate_limit_error: as many calls", "goes on by itself"),
    ),
    "suspect": (found(state=State.SUSPECT, cuts=2), QUIET, ("Twice its worker ended", "runs alone")),
    "succeeded": (
        found(
            state=State.SETTLED,
            outcome="succeeded",
            model="claude-haiku-5-5",
            cost_usd="0.002",
            ended_ms=NOW,
            entity_error="missing_field",
            missing_fields=("payload.x",),
            sinks=["log", "stream-a"],
        ),
        QUIET,
        (
            "after 10 s, as succeeded: claude-haiku-5-5 answered for USD 0.002; log, stream-a have the answer.",
            "`entity` failed (missing_field)",
            "template names: payload.x.",
            "payload is not kept any more",
        ),
    ),
    "refused": (
        found(state=State.SETTLED, outcome="refused", reason="cyber", ended_ms=NOW),
        QUIET,
        ("declined for the category cyber", "Look at prompt", "`model.fallback`"),
    ),
    "answered by the other model": (
        found(
            state=State.SETTLED,
            outcome="succeeded",
            ended_ms=NOW,
            model="claude-sonnet-5-5",
            instead_of="claude-haiku-5-5",
            because="refused",
        ),
        QUIET,
        ("claude-sonnet-5-5, instead of claude-haiku-5-5 which declined, answered",),
    ),
    "only thought": (
        found(state=State.SETTLED, outcome="no_text", reason="thinking_only", ended_ms=NOW, cost_usd="0.01"),
        QUIET,
        ("for USD 0.01, with thoughts alone", "`model.thinking` off"),
    ),
    "said nothing": (
        found(state=State.SETTLED, outcome="no_text", reason="empty", ended_ms=NOW),
        QUIET,
        ("without a word", "Look at the prompt"),
    ),
    "truncated": (found(state=State.SETTLED, outcome="truncated", ended_ms=NOW), QUIET, ("Raise the limit",)),
    "discarded": (
        found(state=State.SETTLED, outcome="discarded", detail="no_prompt", ended_ms=NOW),
        QUIET,
        ("no prompt of the route is for this event",),
    ),
    "dead": (
        found(state=State.DEAD, reason="sink", detail="sink log: full", ended_ms=NOW, answer=KeptAnswer(), replays=1),
        QUIET,
        (
            "replayed once",
            "became a dead letter at",
            ": sink: sink log: full.",
            "does not pay for it again",
            WHAT_TO_DO[DeadReason.SINK],
            "`eventroute dead replay d-1`",
        ),
    ),
}


@pytest.mark.parametrize("case", STORIES)
def test_the_story_says(case: str) -> None:
    what, situation, said = STORIES[case]
    story = tell(what, situation, now_ms=NOW)
    for words in said:
        assert words in story
    assert "\n" not in story
    assert story.endswith((".", "`."))


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_story_also_with_nothing_known(state: State) -> None:
    bare = Line(id=DeliveryId("d-1"), route=PATH, state=state)
    assert tell(Found(bare, Group(0), None, True, None, (), "", 0, ""), held("withheld"), now_ms=NOW)  # noqa: FBT003


def test_the_three_causes_of_discarded_differ() -> None:
    causes = ("no_prompt", "no_prompt; prompts[0].when is false", "no_prompt; prompts[1].when: missing_field")
    said = [discarded(detail) for detail in causes]
    assert len(set(said)) == 3
    assert "prompts[0].when is false" in said[1]
    assert "prompts[1].when: missing_field" in said[2]


@pytest.mark.parametrize("reason", DeadReason)
def test_every_dead_letter_has_something_to_do_about_it(reason: DeadReason) -> None:
    assert advice(reason).endswith(".")
    assert len(advice(reason)) > 40


def test_the_table_has_no_others_and_an_unknown_reason_has_none() -> None:
    assert set(WHAT_TO_DO) == set(DeadReason)
    assert advice("of another version") == ""


@pytest.mark.parametrize(
    ("ms", "said"),
    [(-5, "0 ms"), (3, "3 ms"), (1500, "1.5 s"), (119_000, "119 s"), (600_000, "10 min"), (3 * 3_600_000, "3 h")],
)
def test_durations_are_told_by_their_largest_unit(ms: int, said: str) -> None:
    assert span(ms) == said
    assert span(5 * 86_400_000) == "5 days"


@pytest.mark.parametrize(("reason", "what"), [("suspended", "is suspended"), ("odd", "is held (odd)")])
def test_a_route_that_takes_no_turns_is_a_line(reason: str, what: str) -> None:
    assert held_up(PATH, Held(reason, "", NOW)).startswith(f"team-a/triage {what}: since 20")
