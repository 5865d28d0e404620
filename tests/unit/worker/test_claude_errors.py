"""Whose fault a failed call is: the API's, that of key or model, this attempt's, or the delivery's."""

import email.utils
import json
import time
from typing import Any

import httpx2
import pytest
from anthropic import APIConnectionError, APIResponseValidationError, APIStatusError, APITimeoutError, AsyncAnthropic

from eventroute.outcome import DeadReason
from eventroute_worker.answer import Failed, GivenUp, Passing, Standing
from eventroute_worker.claude import classify
from eventroute_worker.fault import Refusal, judge

CLIENT = AsyncAnthropic(api_key="k", base_url="https://api.anthropic.com")
REQUEST = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")
INVALID = "invalid_request_error"
LIMIT = "rate_limit_error"
OWN_LIMIT = "You have reached your specified API usage limits. You will regain access on 2027-01-01 at 00:00 UTC."
WORKSPACE_LIMIT = OWN_LIMIT.replace("API usage", "workspace API usage")
NO_CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."


def _raw_error(status: int, content: str, **headers: str) -> APIStatusError:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers={"request-id": "req_7", **headers}, content=content, request=REQUEST)
    return CLIENT._make_status_error_from_response(response)


def _error(
    status: int,
    kind: str = "x_error",
    code: str | None = None,
    message: str = "the prompt was: SECRET",
    **headers: str,
) -> APIStatusError:
    details: dict[str, Any] = {"details": {"error_code": code}} if code else {}
    body = {"type": "error", "error": {"type": kind, "message": message, **details}}
    return _raw_error(status, json.dumps(body), **headers)


@pytest.mark.parametrize("status", [408, 409, 429, 499, 500, 502, 503, 504, 520, 529])
def test_what_passes_is_nobodys_fault(status: int) -> None:
    assert isinstance(classify(_error(status)), Passing)


@pytest.mark.parametrize(
    ("status", "kind", "code", "message", "reason", "whole_key"),
    [
        (401, "authentication_error", None, "invalid x-api-key", DeadReason.AUTHENTICATION, True),
        (402, "billing_error", None, "billing", DeadReason.BILLING, True),
        (402, "billing_error", "linked_organization_spend_limit_reached", "limit", DeadReason.BILLING, True),
        (400, "billing_error", None, "billing", DeadReason.BILLING, True),
        (403, "permission_error", None, "no access", DeadReason.PERMISSION, False),
        (404, "not_found_error", None, "model: claude-sonnet-4-5", DeadReason.NOT_FOUND, False),
        (429, LIMIT, "enforced_spend_limit_reached", "limits", DeadReason.BILLING, True),
        (429, LIMIT, "contract_spend_limit_reached", "limits", DeadReason.BILLING, True),
        (400, INVALID, None, OWN_LIMIT, DeadReason.BILLING, True),
        (400, INVALID, None, WORKSPACE_LIMIT, DeadReason.BILLING, True),
        (400, INVALID, None, NO_CREDIT, DeadReason.BILLING, True),
        (400, INVALID, "organization_on_hold", "disabled", DeadReason.PERMISSION, True),
    ],
)
def test_what_somebody_has_to_mend_is_standing(
    status: int, kind: str, code: str | None, message: str, reason: DeadReason, *, whole_key: bool
) -> None:
    reply = classify(_error(status, kind, code, message))
    assert isinstance(reply, Standing)
    assert (reply.reason, reply.whole_key) == (reason, whole_key)


@pytest.mark.parametrize(
    ("status", "kind", "code", "message", "reason"),
    [
        (400, INVALID, None, "messages: too many", DeadReason.INVALID_REQUEST),
        (400, INVALID, "image_dimensions_too_large", OWN_LIMIT, DeadReason.INVALID_REQUEST),
        (400, INVALID, None, f"messages.0: {OWN_LIMIT}", DeadReason.INVALID_REQUEST),
        (400, INVALID, None, f'the text "{NO_CREDIT}" is not valid', DeadReason.INVALID_REQUEST),
        (400, INVALID, None, "You have reached another limit", DeadReason.INVALID_REQUEST),
        (400, "x_error", None, OWN_LIMIT, DeadReason.INVALID_REQUEST),
        (405, INVALID, None, "method", DeadReason.INVALID_REQUEST),
        (413, "request_too_large", None, "too large", DeadReason.TOO_LARGE),
        (422, INVALID, None, OWN_LIMIT, DeadReason.INVALID_REQUEST),
        (431, INVALID, None, "headers", DeadReason.TOO_LARGE),
    ],
)
def test_everything_else_is_the_deliverys_fault(
    status: int, kind: str, code: str | None, message: str, reason: DeadReason
) -> None:
    reply = classify(_error(status, kind, code, message))
    assert isinstance(reply, GivenUp)
    assert reply.reason is reason


@pytest.mark.parametrize("code", [None, "ramp_limit_exceeded", "a_code_of_tomorrow"])
def test_a_rate_limit_passes_whatever_its_code_unless_it_is_about_money(code: str | None) -> None:
    assert isinstance(classify(_error(429, LIMIT, code)), Passing)


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        ("<html>Request Entity Too Large</html>", "413 no type (request req_7)"),
        ("[]", "413 no type (request req_7)"),
        ('{"error": "x"}', "413 no type (request req_7)"),
        ('{"error": {"type": 7, "message": 8}}', "413 no type (request req_7)"),
        ("", "413 no type (request req_7)"),
    ],
)
def test_a_body_that_is_not_the_apis_is_judged_by_its_status(content: str, reply: str) -> None:
    assert classify(_raw_error(413, content)) == GivenUp(reason=DeadReason.TOO_LARGE, detail=reply)


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
    assert isinstance(reply, Passing)
    assert reply.after_s == after_s


def test_the_wait_may_be_a_date() -> None:
    reply = classify(_error(529, retry_after=email.utils.formatdate(time.time() + 60, usegmt=True)))
    assert isinstance(reply, Passing)
    assert reply.after_s == pytest.approx(60, abs=3)


@pytest.mark.parametrize("error", [APITimeoutError(REQUEST), APIConnectionError(request=REQUEST)])
def test_no_connection_passes(error: Any) -> None:
    assert isinstance(classify(error), Passing)


def test_an_answer_that_is_none_costs_the_attempt() -> None:
    reply = classify(APIResponseValidationError(httpx2.Response(200, request=REQUEST), None))
    assert isinstance(reply, Failed)
    assert not reply.timed_out


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_what_is_told_names_status_cause_and_request_but_not_the_apis_own_words(status: int) -> None:
    assert classify(_error(status, "some_error")).detail == f"{status} some_error (request req_7)"
    assert classify(_error(status, "some_error", "a_code")).detail == f"{status} some_error/a_code (request req_7)"


@pytest.mark.parametrize("status", [413, 500])
def test_where_the_api_names_no_request_that_is_told(status: int) -> None:
    reply = judge(Refusal(status=status, headers={}))
    assert reply.detail == f"{status} no type (request unknown)"
