"""Key, shape, script, limit, answer: in this order, so that a script never hides a client's own mistake."""

from typing import Any

import msgspec
import pytest

from eventroute_cli.simulator.api import DEFAULT_KEY, Manner, Reply, Simulator, SimulatorSettings
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.limits import LimitChange, RateLimits

BEARER = ("authorization", f"Bearer {DEFAULT_KEY}")
VERSION = ("anthropic-version", "2026-10-21")


FIELDS = {
    "model": "claude-haiku-5-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "hi"}],
    "thinking": {"type": "disabled"},
}


def call(simulator: Simulator, *headers: tuple[str, str], **changes: Any) -> Reply:
    fields = {**FIELDS, **changes}
    if not str(fields["model"]).startswith("claude-haiku"):
        del fields["thinking"]
    return simulator.answer([*(headers or (BEARER, VERSION))], msgspec.json.encode(fields))


def error(reply: Reply) -> str:
    return str(msgspec.json.decode(reply.parts[0])["error"]["message"])


@pytest.mark.parametrize("header", [BEARER, ("x-api-key", DEFAULT_KEY)])
def test_both_ways_of_sending_the_key_are_accepted(header: tuple[str, str]) -> None:
    assert call(Simulator(SimulatorSettings()), header, VERSION).status == 200


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (("x-other", "1"), "x-api-key header is required"),
        (("x-api-key", ""), "x-api-key header is required"),
        (("x-api-key", "sk-ant-other"), "invalid x-api-key"),
        (("authorization", "Bearer sk-ant-other"), "invalid x-api-key"),
        (("authorization", f"Basic {DEFAULT_KEY}"), "x-api-key header is required"),
        (("x-api-key", "schlüssel"), "invalid x-api-key"),
    ],
)
def test_a_wrong_key_is_refused(header: tuple[str, str], message: str) -> None:
    reply = call(Simulator(SimulatorSettings()), header, VERSION)
    assert (reply.status, error(reply)) == (401, message)


def test_a_wrong_key_or_request_does_not_use_up_a_fault() -> None:
    simulator = Simulator(SimulatorSettings(faults=(Fault(kind=FaultKind.OVERLOADED),)))
    assert call(simulator, ("x-api-key", "wrong"), VERSION).status == 401
    assert call(simulator, max_tokens=-1).status == 400
    assert call(simulator).status == 529
    assert call(simulator).status == 200


def test_a_scripted_error_costs_nothing_of_the_rate_limit() -> None:
    simulator = Simulator(SimulatorSettings(limits=RateLimits(requests=1), faults=(Fault(kind=FaultKind.API_ERROR),)))
    assert [call(simulator).status for _ in range(3)] == [500, 200, 429]


def test_the_rate_limit_is_per_model_pool_and_its_answer_says_what_is_left() -> None:
    simulator = Simulator(SimulatorSettings(limits=RateLimits(requests=1), clock=lambda: 1_800_000_000.0))
    call(simulator, model="claude-opus-4-8")
    refused = call(simulator, model="claude-opus-4-7")
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert call(simulator).status == 200


def test_each_key_is_an_organization_with_limits_of_its_own() -> None:
    simulator = Simulator(SimulatorSettings(keys=("sk-a", "sk-b"), limits=RateLimits(requests=1)))
    replies = [call(simulator, ("x-api-key", key), VERSION) for key in ("sk-a", "sk-b", "sk-a")]
    assert [reply.status for reply in replies] == [200, 200, 429]
    one, other, again = (reply.headers["anthropic-organization-id"] for reply in replies)
    assert one == again != other
    asked, another, repeated = (entry.key for entry in simulator.journal.entries())
    assert asked == repeated != another


def test_every_answer_but_one_without_a_key_or_model_tells_the_limits() -> None:
    simulator = Simulator(SimulatorSettings(faults=(Fault(kind=FaultKind.OVERLOADED),)))
    told = [
        "anthropic-ratelimit-requests-remaining" in reply.headers
        for reply in (
            call(simulator),
            call(simulator),
            call(simulator, ("x-api-key", "wrong"), VERSION),
            call(simulator, model="claude-nothing"),
        )
    ]
    assert told == [True, True, False, False]


def test_output_counts_against_the_limit_only_as_it_is_made() -> None:
    now = [1_800_000_000.0]
    limits = RateLimits(output_tokens=20)
    simulator = Simulator(SimulatorSettings(latency_s=10, latency_spread=0, limits=limits, clock=lambda: now[0]))
    statuses = []
    for _ in range(3):
        statuses.append(call(simulator).status)
        now[0] += 5
    assert statuses == [200, 200, 429]


CACHED = {"system": [{"type": "text", "text": "x" * 80_000, "cache_control": {"type": "ephemeral"}}]}
"""20,000 tokens, and more than any model's minimum."""


def read(reply: Reply) -> int:
    return int(msgspec.json.decode(reply.parts[0])["usage"]["cache_read_input_tokens"])


def test_a_prompt_is_read_from_the_cache_once_the_answer_that_wrote_it_has_begun() -> None:
    now = [1_800_000_000.0]
    simulator = Simulator(SimulatorSettings(latency_s=10, latency_spread=0, clock=lambda: now[0]))
    found = []
    for _ in range(3):
        found.append(read(call(simulator, **CACHED)))
        now[0] += 6
    assert found == [0, 0, 20_000]


def test_what_the_cache_held_costs_nothing_of_the_limit() -> None:
    limits = RateLimits(input_tokens=50_000)
    simulator = Simulator(SimulatorSettings(limits=limits, clock=lambda: 1_800_000_000.0))
    left = [call(simulator, **CACHED).headers["anthropic-ratelimit-input-tokens-remaining"] for _ in range(3)]
    assert left == ["30000", "30000", "30000"]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "claude-sonnet-5"},
        {"thinking": {"type": "adaptive"}},
        {"output_config": {"effort": "low"}},
        {"tools": [{"name": "look_up", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"}},
        {"speed": "fast"},
    ],
    ids=["model", "thinking", "effort", "forced tool", "speed"],
)
def test_another_key_or_other_settings_find_nothing_in_the_cache(changes: dict[str, Any]) -> None:
    simulator = Simulator(SimulatorSettings(keys=("sk-a", "sk-b")))
    assert [read(call(simulator, ("x-api-key", "sk-a"), VERSION, **CACHED)) for _ in range(2)] == [0, 20_000]
    assert read(call(simulator, ("x-api-key", "sk-b"), VERSION, **CACHED)) == 0
    assert read(call(simulator, ("x-api-key", "sk-a"), VERSION, **CACHED, **changes)) == 0


def test_a_refusal_is_at_once_and_only_an_answer_takes_time() -> None:
    simulator = Simulator(SimulatorSettings(latency_s=10, latency_spread=0, limits=RateLimits(requests=1)))
    assert [round(call(simulator).delay_s) for _ in range(2)] == [10, 0]


def test_other_limits_hold_as_soon_as_they_are_set() -> None:
    simulator = Simulator(SimulatorSettings(clock=lambda: 1_800_000_000.0))
    for model in ("claude-haiku-5-5", "claude-sonnet-5"):
        call(simulator, model=model)
    simulator.change_limits(LimitChange(pool="claude-haiku-5-5", requests=2))
    assert [call(simulator).status for _ in range(3)] == [200, 200, 429]
    assert call(simulator, model="claude-sonnet-5").status == 200


@pytest.mark.parametrize(
    ("kind", "manner"),
    [("hang", Manner.HANG), ("cut", Manner.CUT), ("cut_body", Manner.CUT_BODY), ("ok", Manner.WHOLE)],
)
def test_a_broken_connection_is_a_manner_of_an_otherwise_good_reply(kind: str, manner: Manner) -> None:
    simulator = Simulator(SimulatorSettings(faults=(Fault(kind=FaultKind(kind)),)))
    assert call(simulator).manner is manner


@pytest.mark.parametrize("stream", [False, True])
def test_a_malformed_answer_does_not_parse(*, stream: bool) -> None:
    simulator = Simulator(SimulatorSettings(faults=(Fault(kind=FaultKind.MALFORMED),)))
    reply = call(simulator, stream=stream)
    assert reply.status == 200
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(reply.parts[0].partition(b"data: ")[2] if stream else reply.parts[0])


def test_every_request_is_in_the_journal_with_what_it_was_given() -> None:
    simulator = Simulator(SimulatorSettings(faults=(Fault(kind=FaultKind.CUT), Fault(kind=FaultKind.OVERLOADED))))
    call(simulator)
    call(simulator)
    call(
        simulator,
        *(BEARER, VERSION, ("traceparent", "00-0af7-b7ad-01")),
        system="be brief",
        output_config={"effort": "low"},
    )
    call(simulator, ("x-api-key", "wrong"))
    given = [(entry.given.status, entry.given.fault, entry.given.stop_reason) for entry in simulator.journal.entries()]
    assert given == [(0, "cut", "end_turn"), (529, "529", ""), (200, "", "end_turn"), (401, "", "")]
    third = simulator.journal.entries()[2]
    assert (third.headers["traceparent"], third.text) == ("00-0af7-b7ad-01", "be brief\n\nhi")
    assert (third.model, third.max_tokens, third.system) == ("claude-haiku-5-5", 64, "be brief")
    assert (third.thinking, third.effort) == ("disabled", "low")
    assert third.body == {**FIELDS, "system": "be brief", "output_config": {"effort": "low"}}
    assert all(entry.received_ns < entry.ended_ns for entry in simulator.journal.entries())
    assert DEFAULT_KEY not in repr(simulator.journal.entries())


def test_latencies_are_log_normal_around_the_median_and_repeat_with_the_seed() -> None:
    def delays(seed: int) -> list[float]:
        simulator = Simulator(SimulatorSettings(latency_s=0.8, latency_spread=0.5, seed=seed))
        return sorted(call(simulator).delay_s for _ in range(400))

    sample = delays(1)
    assert 0.7 < sample[200] < 0.9
    assert sample[-20] > 1.4
    assert sample == delays(1) != delays(2)


def test_without_latency_the_answer_is_immediate_but_for_a_scripted_delay() -> None:
    simulator = Simulator(SimulatorSettings(faults=(Fault(kind=FaultKind.OK, delay_s=3),)))
    assert [call(simulator).delay_s, call(simulator).delay_s] == [3, 0]
