"""`eventroute simulator` alone: what it says, what it takes from the command line, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.command import run_here

pytestmark = pytest.mark.real

COMMAND = (sys.executable, "-m", "eventroute_cli", "simulator")
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}


def test_it_says_how_to_reach_it_takes_a_script_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"kind": "hang", "match": "d-1"}]))
    options = ["--port", "0", "--key", "sk-test", "--fault", "429,times=3,retry_after_s=2", "--script", str(script)]
    options += ["--limit", "requests=50", "--limit", "claude-opus-4,requests=9,burst_s=1", "--journal", "5"]
    with subprocess.Popen([*COMMAND, *options], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        printed = [process.stdout.readline() for _ in range(6)]
        url = re.findall(r"export ANTHROPIC_BASE_URL=(\S+)", "".join(printed))[0]
        assert "  export ANTHROPIC_API_KEY=sk-test\n" in printed
        faults = httpx.get(f"{url}/simulator/faults").json()
        assert [(item["fault"]["kind"], item["left"]) for item in faults] == [("429", 3), ("hang", 1)]
        limits = httpx.get(f"{url}/simulator/limits").json()
        assert [limits[pool]["requests"] for pool in ("claude-haiku-5-5", "claude-opus-4")] == [50, 9]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fault", "418"], "error: fault '418': "),
        (["--limit", "haiku,requests=1"], "error: limit 'haiku,requests=1': unknown pool 'haiku'"),
        (["--script", "/nowhere.json"], "error: /nowhere.json: No such file or directory; --script names a JSON file"),
        (["--script", __file__], "fault script: "),
        (["--host", "203.0.113.1"], "error: cannot listen on 203.0.113.1:"),
    ],
)
def test_a_mistake_is_a_sentence(options: list[str], message: str) -> None:
    failed = run_here("simulator", *options, COLUMNS="200")
    assert failed.code == 2
    assert message in failed.output.replace("\n", " ")
