"""`eventroute demo` as a person or a pipeline runs it."""

import re
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eventroute_cli.__main__ import app
from support.command import Ended, command, run

pytestmark = pytest.mark.real

OUTCOMES = {
    "GitHub pull_request.opened": "succeeded",
    "GitHub sends it again": "duplicate",
    "Stripe invoice.payment_failed, 1st": "succeeded",
    "Stripe invoice.payment_failed, 2nd": "succeeded",
    "Stripe invoice.payment_failed, 3rd": "succeeded",
    "somebody else signs as Stripe": "unauthenticated",
    "Slack url_verification": "handshake",
    "Slack message": "succeeded",
    "HubSpot contact.creation, 1 of 3": "succeeded",
    "HubSpot contact.creation, 2 of 3": "succeeded",
    "HubSpot contact.creation, 3 of 3": "succeeded",
    "Shopify orders/create": "dead render",
    "its template mended, replayed": "succeeded",
}
BURSTS = 30 + 8 + 5 + 3
"""Contacts, alerts and orders of the second act; of the third two pull requests, and what one of them led to."""
SPANS = ("POST /hooks/{namespace}/{name}", "send eventroute", "process eventroute", "chat ", "sink log", "sink stream")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, list[str], float]:
    """One run of the demo: how it ended, what it left, how long it took."""
    started = time.monotonic()
    ended, left = run("demo", folder=tmp_path_factory.mktemp("demo"))
    return ended, left, time.monotonic() - started


Shown = tuple[Ended, list[str], float]


def test_it_ends_within_a_minute_and_leaves_nothing(shown: Shown) -> None:
    ended, left, seconds = shown
    assert ended.code == 0, ended.output
    assert left == []
    assert seconds < 60


def test_each_event_ends_as_it_should(shown: Shown) -> None:
    output = shown[0].output
    for title, outcome in OUTCOMES.items():
        assert re.search(rf"^{re.escape(title)} +{outcome}\b", output, re.MULTILINE), title
    assert f"{len(OUTCOMES) - 1 + BURSTS} events, each ended as it should" in output


def test_a_dead_letter_says_why_and_is_replayed_under_its_id(shown: Shown) -> None:
    lines = shown[0].output.splitlines()
    died = next(index for index, line in enumerate(lines) if line.startswith("Shopify orders/create"))
    replayed = next(index for index, line in enumerate(lines) if line.startswith("its template mended"))
    assert lines[died + 2].strip().startswith("prompts[0].user: truncate expected an integer, found str")
    assert lines[replayed + 1].strip() == f"{lines[died + 1].strip()}  as before"
    assert "[simulated]" in lines[replayed + 2]


def test_one_customers_payments_remember_each_other(shown: Shown) -> None:
    output = " ".join(shown[0].output.split())
    for text in ("no earlier event", "1 earlier event", "2 earlier events"):
        assert re.search(rf"`invoice.payment_failed` from stripe, .{{0,20}}{text}", output), text


def test_an_answer_waits_for_a_service_that_is_away_and_for_it_alone(shown: Shown) -> None:
    output = " ".join(shown[0].output.split())
    form = r"in the log after ([\d.]+) s; at the service, [\w, .]+ s after it came back, signed \((\d+) attempts"
    found = re.search(form, output)
    assert found, output
    assert float(found[1]) < 5, "the log does not wait for the service"
    assert int(found[2]) >= 1


def test_a_tool_is_used_once_and_the_answer_goes_on_to_another_route_in_one_trace(shown: Shown) -> None:
    output = " ".join(shown[0].output.split())
    said = "it looked its build up once (GET /builds/7), and its answer became an event of route platform/follow-up"
    assert said in output
    assert "which was answered too: one trace" in output


def test_a_burst_takes_no_more_than_its_rate_limit_allows_and_is_all_answered(shown: Shown) -> None:
    output = " ".join(shown[0].output.split())
    found = re.search(r"all answered after ([\d.]+) s, with (\d+)% of what was allowed; (\d+) of (\d+) calls", output)
    assert found, output
    seconds, share, refused, calls = map(float, found.groups())
    assert seconds >= (30 - 10) / 10, "ten at once, and ten a second from there"
    assert 0 < share <= 100
    assert calls - refused == 30


def test_alerts_of_one_name_become_one_answer(shown: Shown) -> None:
    assert "8 alerts of one name at once: one answer about all of them" in " ".join(shown[0].output.split())


def test_a_budget_holds_what_it_has_no_room_for_until_it_is_raised(shown: Shown) -> None:
    found = re.search(r"(\d) answered, (\d) held; the budget was raised", " ".join(shown[0].output.split()))
    assert found, shown[0].output
    answered, held = map(int, found.groups())
    assert held >= 1
    assert answered + held == 5


def test_one_trace_is_shown_as_a_tree_from_the_receipt_to_the_sinks(shown: Shown) -> None:
    output = shown[0].output
    assert len(re.findall(r"^trace [0-9a-f]{32}$", output, re.MULTILINE)) == 1
    depths = []
    for name in SPANS:
        (line,) = [line for line in output.splitlines() if f"── {name}" in line]
        depths.append(line.index(name))
    assert depths == [4, 8, 12, 16, 16, 16]


def test_it_says_what_to_do_next(shown: Shown) -> None:
    assert "eventroute dev -f DIR" in " ".join(shown[0].output.split())


def test_without_a_terminal_it_prints_plain_lines_that_fit_80_columns(shown: Shown) -> None:
    output = shown[0].output
    assert "\x1b" not in output
    assert "…" in output, "long answers are cut visibly"
    assert max(len(line.rstrip()) for line in output.splitlines()) <= 80


def test_a_served_demo_takes_what_its_printed_commands_send_at_the_port_that_it_is_given(
    tmp_path: Path, unused_port: int
) -> None:
    with command("demo", "--serve", "--port", str(unused_port), folder=tmp_path) as running:
        running.until_said("Logs:")
        lines = [line.split() for line in running.output().splitlines() if line.startswith("  eventroute send")]
        assert [words[2] for words in lines] == ["alertmanager", "github", "hubspot", "shopify", "slack", "stripe"]
        for words in lines:
            assert words[4].startswith(f"http://127.0.0.1:{unused_port}/hooks/")
            sent = CliRunner().invoke(app, words[1:])
            assert sent.exit_code == 0, sent.output
            assert '"status":"queued"' in sent.stdout
