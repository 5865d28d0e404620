"""What `send` would send, and what it says when it cannot."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
from typer.testing import CliRunner, Result

from eventroute.errors import EventRouteError
from eventroute.outcome import Refusal
from eventroute.schemes import (
    SCHEMES,
    Handshake,
    Rejected,
    Request,
    Verified,
    generate_secret,
    parse_key,
    preflight,
    verify,
)
from eventroute.schemes.derived import comes_first
from eventroute_cli.raw_request import parse_request
from eventroute_cli.send import Sent, send

SECRET = "a-secret-of-the-route"

app = typer.Typer()
app.command()(send)


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), env={"EVENTROUTE_SECRET": None, **(env or {})})
    if isinstance(result.exception, EventRouteError):
        raise result.exception
    return result


def printed(result: Result) -> Request:
    raw = parse_request(result.stdout_bytes)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in raw.headers]
    return Request(method=raw.method, url=None, headers=headers, body=raw.body)


def verdict(provider: str, request: Request, secret: str = SECRET) -> object:
    return verify(SCHEMES[provider], request, [parse_key(SCHEMES[provider], secret.encode())], None)


def test_a_dry_run_prints_a_correctly_signed_request() -> None:
    request = printed(run("github", "--event", "issues.opened", "--secret", SECRET, "--dry-run"))
    assert isinstance(verdict("github", request), Verified)
    assert request.fields[b"x-github-event"] == b"issues"


def test_a_forged_request_does_not_verify() -> None:
    request = printed(run("github", "--secret", SECRET, "--forge", "--dry-run"))
    assert isinstance(verdict("github", request), Rejected)


@pytest.mark.parametrize("source", ["option", "file", "environment"])
def test_the_secret_comes_from_an_option_a_file_or_the_environment(tmp_path: Path, source: str) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    options = {"option": ["--secret", SECRET], "file": ["--secret-file", str(file)], "environment": []}[source]
    request = printed(run("github", *options, "--dry-run", env={"EVENTROUTE_SECRET": SECRET}))
    assert isinstance(verdict("github", request), Verified)


def test_a_file_is_sent_byte_for_byte(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(b'{ "action" : "opened",\r\n "issue": {} }\n')
    request = printed(run("github", "--file", str(file), "--event", "issues.opened", "--secret", SECRET, "--dry-run"))
    assert request.body == file.read_bytes()
    assert request.fields[b"x-github-event"] == b"issues"
    assert isinstance(verdict("github", request), Verified)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which provider"),
        (("githb",), 'unknown provider .githb.; did you mean "github"'),
        (("github",), "github: no secret; give --secret"),
        (("github", "--event", "x", "--secret", SECRET), "no sample of 'x'"),
        (("github", "--secret-file", "/nowhere"), "--secret-file /nowhere: No such file"),
        (("github", "--file", "/nowhere", "--secret", SECRET), "--file /nowhere: No such file"),
        (("github", "--file", __file__, "--secret", SECRET), "say which with --event"),
        (("stripe", "--file", __file__, "--event", "x", "--secret", SECRET), "leave --event out"),
        (("none", "--forge"), "nothing can be forged"),
        (("aws-sns",), "aws-sns: only the provider can sign, .* record that with `eventroute capture"),
        (("google-pubsub", "--secret", "a", "--dry-run"), "google-pubsub: only the provider can sign"),
        (("google-pubsub", "--forge"), "google-pubsub: only the provider can sign"),
        (("aws-sns", "--new-secret"), "the route's secret is the ARN of a topic, arn:aws:sns:REGION:ACCOUNT:NAME"),
        (("standard-webhooks", "--secret", "whsec_%"), "not base64"),
        (("discord", "--secret", "no private key"), "private key"),
        (("github", "--secret", SECRET, "--url", "127.0.0.1:8080/x"), "--url 127.0.0.1:8080/x: "),
        (("github", "--secret", SECRET, "--url", "http://127.0.0.1:1/x"), "is the receiver running"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_fix(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(EventRouteError, match=message):
        run(*arguments)


def test_the_list_names_every_provider() -> None:
    assert set(json.loads(run("--list", "-o", "json").stdout)) == set(SCHEMES)
    listed = run("--list").stdout
    assert "invoice.payment_failed" in listed
    assert "only the provider can send" in listed


@pytest.mark.parametrize("provider", ["github", "discord", "sendgrid", "standard-webhooks"])
def test_a_new_secret_signs_and_verifies(provider: str) -> None:
    pair = json.loads(run(provider, "--new-secret", "-o", "json").stdout)
    request = printed(run(provider, "--secret", pair["signing"], "--dry-run"))
    assert isinstance(verdict(provider, request, pair["configured"]), Verified)


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({"status": 200}, True),
        ({"status": 202}, True),
        ({"status": 401}, False),
        ({"status": 302}, False),
        ({"status": 401, "forged": True}, True),
        ({"status": 200, "forged": True}, False),
    ],
)
def test_a_genuine_request_should_be_taken_and_a_forged_one_refused(changes: dict[str, Any], *, good: bool) -> None:
    assert Sent(provider="github", event="push", ms=1, answer="", **changes).as_expected is good


def test_the_same_secret_is_not_made_twice() -> None:
    assert generate_secret(SCHEMES["github"]) != generate_secret(SCHEMES["github"])


# --- what sets a webhook up -------------------------------------------------------------------------------------------

TOKEN = "a-verify-token-of-ours"


def asked(result: Result) -> Request:
    raw = parse_request(result.stdout_bytes)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in raw.headers]
    query = urlsplit(raw.url).query
    return Request(method=raw.method, url=None, headers=headers, body=raw.body, query=query)


FIRST = [row.name for row in SCHEMES.values() if any(comes_first(rule) for rule in row.handshake)]


@pytest.mark.parametrize("provider", FIRST)
def test_a_set_up_is_what_a_receiver_answers(provider: str) -> None:
    scheme = SCHEMES[provider]
    request = asked(run(provider, "--set-up", "--verify-token", TOKEN, "--dry-run"))
    keys = [parse_key(scheme, generate_secret(scheme).configured)] if scheme.kind != "none" else []
    assert isinstance(preflight(scheme, request, keys, token=TOKEN.encode()), Handshake)


@pytest.mark.parametrize("provider", ["meta", "strava"])
def test_a_forged_set_up_shows_another_token(provider: str) -> None:
    request = asked(run(provider, "--set-up", "--verify-token", TOKEN, "--forge", "--dry-run"))
    assert preflight(SCHEMES[provider], request, (), token=TOKEN.encode()) == Rejected(Refusal.MISMATCH)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("meta",), "meta: no verify token; give --verify-token, as in the route's verifyTokenRef"),
        (("github",), "github: nothing unsigned sets it up"),
        (("dropbox", "--forge"), "nothing can be forged where no token is shown"),
    ],
)
def test_a_set_up_that_cannot_be_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(EventRouteError, match=message):
        run(*arguments, "--set-up")


def test_a_set_up_with_another_answer_than_the_provider_wants_is_no_success() -> None:
    sent = Sent(provider="dropbox", event="set-up", status=200, ms=1, answer="abc", wanted="abc")
    assert sent.as_expected
    assert not replace(sent, answer='{"status":"captured"}').as_expected
    assert not replace(sent, status=405).as_expected
