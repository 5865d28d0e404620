"""A script decides which requests go wrong, in order and by count."""

import msgspec
import pytest

from eventroute.errors import Refused
from eventroute_cli.simulator.faults import Fault, FaultKind, FaultScript, parse_fault, parse_faults


def kinds(script: FaultScript, texts: list[str]) -> list[str]:
    return [fault.kind.value if (fault := script.take(text)) else "-" for text in texts]


def test_faults_are_taken_in_order_and_each_as_often_as_it_says() -> None:
    script = FaultScript(
        [Fault(kind=FaultKind.OK, times=2), Fault(kind=FaultKind.OVERLOADED), Fault(kind=FaultKind.HANG)]
    )
    assert kinds(script, ["a"] * 5) == ["ok", "ok", "529", "hang", "-"]
    assert script.pending() == []


def test_a_fault_waits_for_the_text_it_is_meant_for() -> None:
    script = FaultScript([Fault(kind=FaultKind.REFUSAL, match="d-abc")])
    assert kinds(script, ["d-xyz", "event d-abc here", "d-abc"]) == ["-", "refusal", "-"]


def test_a_fault_that_does_not_match_lets_the_next_one_have_the_request() -> None:
    script = FaultScript([Fault(kind=FaultKind.CUT, match="stripe"), Fault(kind=FaultKind.HANG)])
    assert kinds(script, ["github", "stripe"]) == ["hang", "cut"]


def test_a_rate_takes_its_share_without_end_and_repeats_with_the_seed() -> None:
    script = FaultScript([Fault(kind=FaultKind.OVERLOADED, rate=0.25)], seed=7)
    taken = kinds(script, ["x"] * 1000)
    assert 200 < taken.count("529") < 300
    again = kinds(FaultScript([Fault(kind=FaultKind.OVERLOADED, rate=0.25)], seed=7), ["x"] * 1000)
    assert taken == again
    assert script.pending()[0].taken == taken.count("529")


def test_clearing_makes_every_answer_ordinary_again() -> None:
    script = FaultScript([Fault(kind=FaultKind.HANG, times=5)])
    script.clear()
    assert kinds(script, ["x"]) == ["-"]


ACCOUNT = {
    FaultKind.RAMP_LIMIT: (429, "rate_limit_error", "ramp_limit_exceeded"),
    FaultKind.ENFORCED_SPEND_LIMIT: (429, "rate_limit_error", "enforced_spend_limit_reached"),
    FaultKind.CONTRACT_SPEND_LIMIT: (429, "rate_limit_error", "contract_spend_limit_reached"),
    FaultKind.OWN_SPEND_LIMIT: (400, "invalid_request_error", ""),
    FaultKind.WORKSPACE_SPEND_LIMIT: (400, "invalid_request_error", ""),
    FaultKind.CREDIT_BALANCE: (400, "invalid_request_error", ""),
    FaultKind.ON_HOLD: (400, "invalid_request_error", "organization_on_hold"),
}
WAITS = {FaultKind.RATE_LIMIT, FaultKind.RAMP_LIMIT}


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind.value.isdigit()])
def test_a_status_is_answered_as_an_error_of_that_status(kind: FaultKind) -> None:
    error = Fault(kind=kind, message="because").error()
    assert error is not None
    assert (error.status, error.message, error.code) == (int(kind), "because", "")
    assert error.headers == ({"retry-after": "1"} if kind in WAITS else {})


@pytest.mark.parametrize("kind", ACCOUNT)
def test_a_trouble_of_the_account_has_status_type_and_code_of_the_api(kind: FaultKind) -> None:
    error = Fault(kind=kind).error()
    assert error is not None
    assert (error.status, error.kind, error.code) == ACCOUNT[kind]
    assert error.headers == ({"retry-after": "1"} if kind in WAITS else {})
    details = msgspec.json.decode(error.body("req_1"))["error"].get("details")
    assert details == ({"error_code": error.code} if error.code else None)


def test_what_is_neither_is_no_error() -> None:
    errors = [kind for kind in FaultKind if Fault(kind=kind).error()]
    assert [kind for kind in errors if not kind.value.isdigit() and kind not in ACCOUNT] == []


def test_retry_after_is_sent_as_a_header() -> None:
    error = Fault(kind=FaultKind.RATE_LIMIT, retry_after_s=2.5).error()
    assert error is not None
    assert error.headers == {"retry-after": "2.5"}


def test_the_short_form_reads_every_field() -> None:
    assert parse_fault("429,times=3,retry_after_s=2,match=a b,rate=0.5,delay_s=1") == Fault(
        kind=FaultKind.RATE_LIMIT, times=3, retry_after_s=2, match="a b", rate=0.5, delay_s=1
    )


@pytest.mark.parametrize("text", ["", "418", "429,times", "429,times=0", "429,tims=1", "429,rate=2", "hang,delay_s=-1"])
def test_a_mistake_in_the_short_form_is_refused_with_the_kinds_there_are(text: str) -> None:
    with pytest.raises(Refused, match="model_context_window_exceeded"):
        parse_fault(text)


def test_a_script_is_one_fault_or_a_list() -> None:
    fault = Fault(kind=FaultKind.HANG, match="x")
    assert parse_faults(b'{"kind": "hang", "match": "x"}') == [fault]
    assert parse_faults(b'[{"kind": "hang", "match": "x"}, {"kind": "529"}]')[0] == fault


@pytest.mark.parametrize(
    "document", [b"", b"hang", b"[1]", b'{"kind": "x"}', b'{"kind": "hang", "x": 1}', b"\xff", b"[" * 50_000]
)
def test_a_script_that_makes_no_sense_is_refused(document: bytes) -> None:
    with pytest.raises(Refused, match="fault script"):
        parse_faults(document)
