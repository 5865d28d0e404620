"""Which failed calls are worth repeating, and what the others mean."""

import email.utils
import json
import time
from typing import Any

import httpx2
import pytest
from anthropic import APIConnectionError, APIResponseValidationError, APIStatusError, APITimeoutError, AsyncAnthropic

from eventroute.outcome import DeadReason
from eventroute_worker.answer import GivenUp, Postponed
from eventroute_worker.claude import classify

CLIENT = AsyncAnthropic(api_key="k", base_url="https://api.anthropic.com")
REQUEST = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")


def _error(status: int, kind: str = "x_error", code: str | None = None, **headers: str) -> APIStatusError:
    details: dict[str, Any] = {"details": {"error_code": code}} if code else {}
    body = {"type": "error", "error": {"type": kind, "message": "the prompt was: SECRET", **details}}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(
        status, headers={"request-id": "req_7", **headers}, content=json.dumps(body), request=REQUEST
    )
    return CLIENT._make_status_error_from_response(response)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 520, 529])
def test_passing_troubles_are_postponed(status: int) -> None:
    assert isinstance(classify(_error(status)), Postponed)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, DeadReason.INVALID_REQUEST),
        (401, DeadReason.AUTHENTICATION),
        (402, DeadReason.BILLING),
        (403, DeadReason.PERMISSION),
        (404, DeadReason.NOT_FOUND),
        (405, DeadReason.INVALID_REQUEST),
        (413, DeadReason.TOO_LARGE),
        (422, DeadReason.INVALID_REQUEST),
        (431, DeadReason.TOO_LARGE),
    ],
)
def test_lasting_troubles_are_given_up_with_their_reason(status: int, reason: DeadReason) -> None:
    reply = classify(_error(status))
    assert isinstance(reply, GivenUp)
    assert reply.reason is reason


def test_a_spend_limit_is_no_rate_limit() -> None:
    reached = classify(_error(429, "rate_limit_error", "enforced_spend_limit_reached"))
    assert isinstance(reached, GivenUp)
    assert reached.reason is DeadReason.BILLING
    assert isinstance(classify(_error(429, "rate_limit_error", "ramp_limit_exceeded")), Postponed)


def test_a_billing_error_is_one_whatever_its_status() -> None:
    reply = classify(_error(400, "billing_error"))
    assert isinstance(reply, GivenUp)
    assert reply.reason is DeadReason.BILLING


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "7", "retry_after_ms": "250"}, 0.25),
        ({"retry_after": "7", "retry_after_ms": "soon"}, 7),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "tomorrow"}, None),
        ({"retry_after": "inf"}, float("inf")),
        ({"retry_after": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0),
    ],
)
def test_the_wait_is_the_one_that_the_api_names(headers: dict[str, str], after_s: float | None) -> None:
    reply = classify(_error(429, **headers))
    assert isinstance(reply, Postponed)
    assert reply.after_s == after_s


def test_the_wait_may_be_a_date() -> None:
    reply = classify(_error(529, retry_after=email.utils.formatdate(time.time() + 60, usegmt=True)))
    assert isinstance(reply, Postponed)
    assert reply.after_s == pytest.approx(60, abs=3)


@pytest.mark.parametrize(
    ("error", "timed_out"),
    [
        (APITimeoutError(REQUEST), True),
        (_error(504), True),
        (_error(408), True),
        (APIConnectionError(request=REQUEST), False),
        (APIResponseValidationError(httpx2.Response(200, request=REQUEST), None), False),
        (_error(500), False),
    ],
)
def test_timeouts_are_told_apart(error: Any, *, timed_out: bool) -> None:
    reply = classify(error)
    assert isinstance(reply, Postponed)
    assert reply.timed_out is timed_out


@pytest.mark.parametrize("status", [400, 429, 500])
def test_what_is_told_names_status_cause_and_request_but_not_the_apis_own_words(status: int) -> None:
    detail = classify(_error(status, "some_error")).detail
    assert detail == f"{status} some_error (request req_7)"
