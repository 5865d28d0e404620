"""A raw request is judged by the route that it was for, also by one that would not be served."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from eventroute.errors import Refused
from eventroute.schemes import SCHEMES, Request
from eventroute_cli.fixtures import Recorded, write_fixture
from eventroute_cli.samples import sample_request
from eventroute_cli.send import format_request
from eventroute_cli.verify import verify_command

SECRET = "weak"
NOW = 1_800_000_000
PUBLIC = "https://hooks.example.com/hooks/crm/contacts"

app = typer.Typer()
app.command()(verify_command)


def manifest(name: str, provider: str, extra: str = "") -> str:
    return f"""
apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {{name: {name}, namespace: crm}}
spec:
  provider: {provider}
  secretRefs: [{{name: hook, key: secret}}]
  prompts: [{{events: ["*"], system: Look.}}]
{extra}---
"""


SECRET_MANIFEST = f"""
apiVersion: v1
kind: Secret
metadata: {{name: hook, namespace: crm}}
stringData: {{secret: {SECRET}}}
"""


def verify(
    tmp_path: Path, *options: str, request: Request, target: str, route: str = ""
) -> tuple[int, str, str | None]:
    (tmp_path / "request.http").write_bytes(format_request(request, target))
    (tmp_path / "route.yaml").write_text(route)
    arguments = [str(tmp_path / "request.http"), "-o", "json", *(["-f", str(tmp_path / "route.yaml")] if route else [])]
    result = CliRunner().invoke(app, [*arguments, *options])
    if isinstance(result.exception, Refused):
        raise result.exception
    (judgement,) = json.loads(result.stdout)
    return result.exit_code, judgement["verdict"], judgement["reason"]


def signed(provider: str, url: str = "http://127.0.0.1/hooks/crm/contacts", secret: str = SECRET) -> Request:
    return sample_request(provider, secret=secret.encode(), url=url, now=NOW)


def test_scheme_secret_and_public_url_come_from_the_manifest(tmp_path: Path) -> None:
    route = manifest("contacts", "hubspot", f"  publicURL: {PUBLIC}\n") + SECRET_MANIFEST
    request, target = signed("hubspot", PUBLIC + "?team=1"), "http://127.0.0.1:8080/hooks/crm/contacts?team=1"
    assert verify(tmp_path, request=request, target=target, route=route) == (0, "valid", None)
    other = manifest("contacts", "hubspot", f"  publicURL: {PUBLIC}x\n") + SECRET_MANIFEST
    assert verify(tmp_path, request=request, target=target, route=other) == (1, "invalid", "mismatch")


def test_of_several_routes_the_path_decides(tmp_path: Path) -> None:
    route = manifest("pulls", "github") + manifest("pay", "stripe") + SECRET_MANIFEST
    request = signed("stripe")
    assert verify(tmp_path, request=request, target="http://h/hooks/crm/pay", route=route) == (0, "valid", None)
    assert verify(tmp_path, request=request, target="http://h/hooks/crm/pulls", route=route)[2] == "missing_header"
    with pytest.raises(Refused, match="the request is for /hooks/crm/x, and the routes are at /hooks/crm/pulls"):
        verify(tmp_path, request=request, target="http://h/hooks/crm/x", route=route)


def test_ages_are_judged_only_by_a_clock_that_was_named(tmp_path: Path) -> None:
    route, request, target = manifest("pay", "stripe") + SECRET_MANIFEST, signed("stripe"), "http://h/hooks/crm/pay"
    assert verify(tmp_path, request=request, target=target, route=route)[1] == "valid"
    assert verify(tmp_path, "--now", str(NOW + 301), request=request, target=target, route=route)[2] == "stale"
    assert verify(tmp_path, "--now", str(NOW - 301), request=request, target=target, route=route)[2] == "future"
    with pytest.raises(Refused, match="Unix seconds, or the word now"):
        verify(tmp_path, "--now", "today", request=request, target=target, route=route)


def test_a_route_whose_secret_is_elsewhere_needs_one_given(tmp_path: Path) -> None:
    request, target, route = signed("github"), "http://h/hooks/crm/pulls", manifest("pulls", "github")
    assert verify(tmp_path, request=request, target=target, route=route) == (1, "invalid", "no_secret")
    assert verify(tmp_path, "--secret", SECRET, request=request, target=target, route=route)[1] == "valid"


def test_a_captured_request_is_judged_by_its_route_too(tmp_path: Path) -> None:
    request = signed("github")
    headers = tuple((name.decode(), value.decode()) for name, value in request.headers)
    entry = Recorded(id="captured", url="http://127.0.0.1:8091/hooks/crm/pulls", headers=headers, body=request.body)
    (tmp_path / "captured.json").write_bytes(write_fixture(entry))
    (tmp_path / "route.yaml").write_text(manifest("pulls", "github") + manifest("pay", "stripe") + SECRET_MANIFEST)
    result = CliRunner().invoke(
        app, [str(tmp_path / "captured.json"), "-f", str(tmp_path / "route.yaml"), "-o", "json"]
    )
    assert json.loads(result.stdout) == [{"id": "captured", "verdict": "valid", "expected": None, "reason": None}]


def test_a_provider_stands_in_for_a_route(tmp_path: Path) -> None:
    options = ("--provider", "github", "--secret", SECRET)
    assert verify(tmp_path, *options, request=signed("github"), target="http://h/x") == (0, "valid", None)
    with pytest.raises(Refused, match='did you mean "github"'):
        verify(tmp_path, "--provider", "gihub", request=signed("github"), target="http://h/x")


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (SECRET_MANIFEST, "holds no EventRoute"),
        (": :", "route.yaml:1"),
        (manifest("pulls", "githb"), 'route.yaml:6: unknown provider "githb"'),
    ],
)
def test_a_manifest_without_a_usable_route_is_refused(tmp_path: Path, route: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        verify(tmp_path, request=signed("github"), target="http://h/x", route=route)


def test_every_provider_s_dry_run_is_accepted_by_verify(tmp_path: Path) -> None:
    for provider in (name for name, row in SCHEMES.items() if row.kind in ("hmac", "token") and row.key == "utf8"):
        url = "http://127.0.0.1/hooks/crm/contacts"
        request = signed(provider, url, "a-longer-secret-of-the-route")
        options = ("--provider", provider, "--secret", "a-longer-secret-of-the-route", "--url", request.url or url)
        assert verify(tmp_path, *options, request=request, target=url)[1:] == ("valid", None), provider


META = "http://h/hooks/crm/chats?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
TOKEN_MANIFEST = SECRET_MANIFEST.replace(f"secret: {SECRET}", f"secret: {SECRET}, verify-token: ours")
TOKEN_REF = "  verifyTokenRef: {name: hook, key: verify-token}\n"


@pytest.mark.parametrize(
    ("shown", "secrets", "verdict"),
    [
        ("ours", TOKEN_MANIFEST, (0, "valid", None)),
        ("theirs", TOKEN_MANIFEST, (1, "invalid", "mismatch")),
        ("ours", SECRET_MANIFEST, (1, "invalid", "no_verify_token")),
        ("ours", "", (1, "invalid", "no_verify_token")),
    ],
)
def test_a_set_up_request_is_judged_by_the_routes_verify_token(
    tmp_path: Path, shown: str, secrets: str, verdict: tuple[int, str, str | None]
) -> None:
    request = Request(method="GET", url=None, headers=[], body=b"")
    route = manifest("chats", "meta", TOKEN_REF) + secrets
    assert verify(tmp_path, request=request, target=META + shown, route=route) == verdict


def test_a_set_up_request_is_judged_by_the_verify_token_that_is_given(tmp_path: Path) -> None:
    request = Request(method="GET", url=None, headers=[], body=b"")
    options = ("--provider", "meta", "--verify-token", "ours")
    assert verify(tmp_path, *options, request=request, target=META + "ours") == (0, "valid", None)
    assert verify(tmp_path, *options, request=request, target=META + "theirs")[2] == "mismatch"
    challenge = "http://h/x?challenge=abc"
    assert verify(tmp_path, "--provider", "dropbox", request=request, target=challenge) == (0, "valid", None)
    hostile = "http://h/x?challenge=%3Cb%3E"
    assert verify(tmp_path, "--provider", "dropbox", request=request, target=hostile)[1] == "invalid"
