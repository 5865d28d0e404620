"""Key, shape, script, limit, answer: in this order, so that a script never hides a client's own mistake."""

from typing import Any

import msgspec
import pytest

from eventroute_cli.simulator.api import DEFAULT_KEY, Manner, Reply, Simulator, SimulatorSettings
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.limits import RateLimits

BEARER = ("authorization", f"Bearer {DEFAULT_KEY}")
VERSION = ("anthropic-version", "2026-10-21")


def call(simulator: Simulator, *headers: tuple[str, str], **changes: Any) -> Reply:
    fields = {
        "model": "claude-haiku-5-5",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hi"}],
        "thinking": {"type": "disabled"},
        **changes,
    }
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


def test_the_rate_limit_is_per_model_family_and_its_answer_says_what_is_left() -> None:
    simulator = Simulator(SimulatorSettings(limits=RateLimits(requests=1), clock=lambda: 1_800_000_000.0))
    call(simulator)
    refused = call(simulator, model="claude-haiku-4-5")
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
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
