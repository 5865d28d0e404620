"""A demo that is interrupted, at whatever moment, stops everything that it started and removes what it wrote."""

import os
import signal
import time
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals

import pytest

from support.command import Command, command

pytestmark = pytest.mark.real

INTERRUPTED = 130


def _programs(running: Command) -> int:
    return len(running.children())


@pytest.mark.parametrize(("signum", "programs"), [(SIGINT, 1), (SIGTERM, 2), (SIGHUP, 4)])
def test_during_the_start_nothing_is_left(tmp_path: Path, signum: Signals, programs: int) -> None:
    with command("demo", folder=tmp_path) as running:
        running.until(lambda: _programs(running) >= programs)
        running.send(signum)
        ended = running.end()
        assert running.left_behind() == []
    assert ended.code == INTERRUPTED
    assert ended.output.endswith("stopped; nothing was left behind\n")
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("delay_s", [0.05, 0.25])
def test_while_events_are_on_their_way_nothing_is_left(tmp_path: Path, delay_s: float) -> None:
    with command("demo", folder=tmp_path) as running:
        running.until_said("Ready after")
        time.sleep(delay_s)
        running.send(SIGINT)
        ended = running.end()
        assert running.left_behind() == []
    assert ended.code == INTERRUPTED
    assert "Traceback" not in ended.output
    assert "Exception" not in ended.output


@pytest.mark.parametrize("signum", [SIGINT, SIGTERM])
def test_while_it_serves_it_stops_soon_even_if_told_twice(tmp_path: Path, signum: Signals) -> None:
    with command("demo", "--serve", folder=tmp_path) as running:
        running.until_said("Logs:")
        running.send(signum)
        asked = time.monotonic()
        time.sleep(0.1)
        running.send(signum)
        ended = running.end()
        assert running.left_behind() == []
    assert ended.code == INTERRUPTED
    assert "Traceback" not in ended.output
    assert time.monotonic() - asked < 12, "a program did not stop by itself"


def test_a_killed_demo_takes_its_programs_with_it(tmp_path: Path) -> None:
    with command("demo", folder=tmp_path) as running:
        running.until_said("Ready after")
        assert _programs(running) == 4
        running.send(SIGKILL)
        running.end()
        running.until_childless()


def test_the_terminals_interrupt_reaches_only_the_command(tmp_path: Path) -> None:
    """Else a worker would stop before the command knows, and be reported as a failure."""
    with command("demo", folder=tmp_path) as running:
        running.until_said("Ready after")
        groups = {os.getpgid(pid) for pid in running.pids()}
        assert os.getpgrp() not in groups
        assert len(groups) == 4


def test_a_program_that_fails_while_serving_ends_the_demo_with_its_log(tmp_path: Path) -> None:
    with command("demo", "--serve", folder=tmp_path) as running:
        running.until_said("Logs:")
        (worker,) = [pid for pid, line in running.pids().items() if "eventroute_worker" in line]
        os.kill(worker, signal.SIGKILL)
        ended = running.end()
        assert running.left_behind() == []
    assert ended.code == 2
    assert "error: worker ended with code -9" in ended.output
    assert "attempt_ended" in ended.output, "the end of its log is missing"
