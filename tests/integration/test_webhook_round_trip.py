"""send → capture → replay → verify, as a user runs them: real processes, real HTTP."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

SECRET = "a-secret-of-the-route"
ENVIRONMENT = {**os.environ, "EVENTROUTE_SECRET": SECRET, "NO_COLOR": "1", "COLUMNS": "200"}
COMMAND = (sys.executable, "-m", "eventroute_cli")


def eventroute(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)


@contextmanager
def capturing(directory: Path, *options: str) -> Iterator[str]:
    """Run `eventroute capture` on a free port; its URL."""
    arguments = [*COMMAND, "capture", "--port", "0", "--dir", str(directory), *options]
    with subprocess.Popen(arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = re.search(r"http://[0-9.:]+", process.stdout.readline())
        assert found
        try:
            yield found[0]
        finally:
            process.terminate()
            process.wait(10)


def test_a_webhook_survives_the_round_trip(tmp_path: Path) -> None:
    captured, again = tmp_path / "captured", tmp_path / "again"
    with capturing(captured, "--provider", "stripe") as url:
        sent = eventroute(
            "send", "stripe", "--event", "charge.succeeded", "--url", f"{url}/hooks/shop/pay", "-o", "json"
        )
    assert sent.returncode == 0, sent.stderr
    assert [item["status"] for item in json.loads(sent.stdout)] == [200]
    (file,) = captured.glob("*.json")
    assert json.loads(file.read_bytes())["redacted"] == ["stripe-signature"]
    assert "v1=" not in file.read_text()

    with capturing(again, "--provider", "stripe", "--keep-credentials") as url:
        replayed = eventroute("replay", str(captured), "--url", f"{url}/hooks/shop/pay")
    assert replayed.returncode == 0, replayed.stderr
    (copy,) = again.glob("*.json")
    assert json.loads(copy.read_bytes())["body"] == json.loads(file.read_bytes())["body"]

    assert json.loads(eventroute("verify", str(copy), "-o", "json").stdout)[0]["verdict"] == "valid"
    wrong = json.loads(eventroute("verify", str(copy), "--secret", "another one", "-o", "json").stdout)[0]
    assert (wrong["verdict"], wrong["reason"]) == ("invalid", "mismatch")


def test_a_set_up_is_answered_judged_and_not_replayed(tmp_path: Path) -> None:
    captured, again = tmp_path / "captured", tmp_path / "again"
    asked = ("send", "meta", "--set-up", "--verify-token", "ours", "--url")
    with capturing(captured, "--provider", "meta", "--keep-credentials") as url:
        sent = eventroute(*asked, f"{url}/hooks/support/chats")
        assert sent.returncode == 0, sent.stderr
        assert re.match(r"200 in .* meta set-up  [0-9a-f]{32}$", sent.stdout.strip())
        assert eventroute("send", "meta", "--url", f"{url}/hooks/support/chats").returncode == 0
    with capturing(again) as url:
        assert eventroute(*asked, f"{url}/hooks/support/chats").returncode == 1  # it knows no challenge
        replayed = eventroute("replay", str(captured), "--url", f"{url}/hooks/support/chats")
    assert (replayed.returncode, len(list(again.glob("*.json")))) == (0, 2)
    assert "sets the webhook up, left out; see eventroute send meta --set-up" in replayed.stderr
    first = str(min(captured.glob("*.json")))
    for token, verdict in (("ours", "valid"), ("theirs", "invalid")):
        judged = json.loads(eventroute("verify", first, "--verify-token", token, "-o", "json").stdout)
        assert [each["verdict"] for each in judged] == [verdict]


def test_a_capture_in_between_relays_what_the_receiver_answers(tmp_path: Path) -> None:
    behind, between = tmp_path / "behind", tmp_path / "between"
    with (
        capturing(behind, "--keep-credentials", "--max-body-bytes", "5") as receiver,
        capturing(between, "--forward", f"{receiver}/hooks/a/b") as url,
    ):
        refused = eventroute("send", "github", "--url", url)
    assert refused.returncode == 1
    assert refused.stdout.startswith("413")
    assert len(list(between.glob("*.json"))) == 1


def test_a_mistake_is_a_sentence_and_not_a_traceback() -> None:
    failed = eventroute("verify", "/nowhere.json")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == "error: /nowhere.json: No such file or directory\n"


@pytest.mark.parametrize("command", ["send", "verify", "capture", "replay", "simulator"])
async def test_help_has_examples(command: str) -> None:
    process = await asyncio.create_subprocess_exec(*COMMAND, command, "--help", stdout=-1, env=ENVIRONMENT)
    text, _ = await process.communicate()
    assert f"eventroute {command} " in text.decode().partition("For example")[2]
