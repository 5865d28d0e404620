"""The page of providers says what the scheme table says."""

from pathlib import Path

import pytest

from eventroute.schemes import SCHEMES
from eventroute.schemes.__main__ import main

PAGE = Path(__file__).parents[3] / "services/PROVIDERS.md"


def test_the_committed_page_is_current() -> None:
    assert main(["--check", str(PAGE)]) == 0


@pytest.mark.parametrize("name", SCHEMES)
def test_every_provider_is_on_it(name: str) -> None:
    assert f"| `{name}`" in PAGE.read_text(encoding="utf-8")


def line_of(name: str) -> str:
    return next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}`"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("meta", "GET with query:hub.mode = `subscribe`, query:hub.verify_token = *verify token* → "),
        ("meta", " → query:hub.challenge as text | "),
        ("okta", " | GET → `verification`: header:x-okta-verification-challenge | "),
        ("microsoft-graph", " | POST → query:validationToken as text | "),
        ("zoom", "`plainToken`: body:payload.plainToken, `encryptedToken`: signature of body:payload.plainToken | "),
        ("discord", "body:type = `1`, no body:event.type → `"),
        ("cloudevents", " | OPTIONS with origin eventgrid.azure.net → 200 | "),
        ("intercom", " | HEAD → 200 | "),
        ("github", " 25 MiB | - | "),
    ],
)
def test_what_sets_a_webhook_up_is_told(name: str, told: str) -> None:
    assert told in line_of(name)


def test_an_outdated_page_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "PROVIDERS.md"
    old.write_text(PAGE.read_text(encoding="utf-8").replace("github", "gitbut"), encoding="utf-8")
    assert main(["--check", str(old)]) == 1
    assert "make generate" in capsys.readouterr().err


def test_wrong_arguments_are_told() -> None:
    assert main([]) == 2
