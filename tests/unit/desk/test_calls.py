"""What people are told of a call of a tool: how it ended, and nothing of what it was given."""

from eventroute.talk import CallOutcome, CallRecord
from eventroute_cli.desk.story import tell_call


def test_a_call_is_told_in_a_line() -> None:
    done = CallRecord(name="refund", outcome=CallOutcome.DONE, arguments="0123456789abcdef", status=200, duration_ms=12)
    assert tell_call(done) == "refund(0123456789abcdef) done HTTP 200 in 12 ms"
    refused = CallRecord(name="refund", outcome=CallOutcome.REFUSED, arguments="0123456789abcdef")
    assert tell_call(refused) == "refund(0123456789abcdef) refused"
