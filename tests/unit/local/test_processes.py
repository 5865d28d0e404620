"""Programs are waited for with a bound, watched, and stopped in order, the stubborn ones too."""

import os
import sys
import time
from pathlib import Path

import pytest

from eventroute.errors import GaveUp
from eventroute_cli.local import processes as module
from eventroute_cli.local.interrupt import Interrupted
from eventroute_cli.local.processes import Processes, free_port, is_listening

SLEEPS = ["/bin/sh", "-c", "exec sleep 60"]
ON_TERM = "trap 'echo {name} >> stopped; exit' TERM; echo ready; while :; do sleep 0.01; done"
STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]


def until_said(processes: Processes, *names: str) -> None:
    deadline = time.monotonic() + 10
    while not all(processes.log(name).read_text() for name in names):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_programs_stop_in_reverse_order_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("redis", "worker", "receiver")
    with Processes(tmp_path) as processes:
        for name in names:
            processes.start(name, ["/bin/sh", "-c", ON_TERM.format(name=name)], os.environ)
        until_said(processes, *names)
    assert (tmp_path / "stopped").read_text().split() == ["receiver", "worker", "redis"]


def test_one_that_does_not_stop_is_killed_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STOP_S", 0.2)
    with Processes(tmp_path) as processes:
        stubborn = processes.start("stubborn", STUBBORN, os.environ)
        other = processes.start("other", SLEEPS, os.environ)
        until_said(processes, "stubborn")
    assert (stubborn.returncode, other.returncode) == (-9, -15)


def test_programs_are_stopped_when_the_block_fails(tmp_path: Path) -> None:
    started = []

    def fail_in_the_block() -> None:
        with Processes(tmp_path) as processes:
            started.append(processes.start("sleeper", SLEEPS, os.environ))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_block()
    assert started[0].returncode is not None


def test_one_that_ends_by_itself_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        failing = processes.start("worker", ["/bin/sh", "-c", "seq 1 100; echo because >&2; exit 7"], os.environ)
        failing.wait()
        with pytest.raises(GaveUp) as error:
            processes.wait_listening("worker", free_port(), timeout_s=5)
    first, *tail = str(error.value).splitlines()
    assert first == "worker ended with code 7:"
    assert tail == [*map(str, range(87, 101)), "because"]


def test_one_that_does_not_listen_is_given_up_with_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("receiver", ["/bin/sh", "-c", "echo thinking; exec sleep 60"], os.environ)
        until_said(processes, "receiver")
        with pytest.raises(GaveUp, match=r"receiver is not ready after 0\.1 s:\nthinking"):
            processes.wait_listening("receiver", free_port(), timeout_s=0.1)


def test_a_port_that_somebody_else_listens_on_does_not_hide_a_program_that_ended(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        port = free_port()
        server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
        processes.start("owner", server, os.environ)
        processes.wait_listening("owner", port, timeout_s=10)
        assert is_listening(port)
        processes.start("late", ["/bin/sh", "-c", "exit 1"], os.environ).wait()
        with pytest.raises(GaveUp, match="late ended with code 1"):
            processes.wait_listening("late", port, timeout_s=5)


def test_a_wait_ends_when_the_user_wants_it_to(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise Interrupted

    with Processes(tmp_path, interrupted) as processes:
        sleeper = processes.start("sleeper", SLEEPS, os.environ)
        with pytest.raises(Interrupted):
            processes.wait_listening("sleeper", free_port(), timeout_s=60)
    assert sleeper.returncode is not None


def test_output_of_several_lives_is_kept_in_one_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        for word in ("first", "second"):
            processes.start("again", ["/bin/sh", "-c", f"echo {word}"], os.environ).wait()
        assert processes.log("again").read_text() == "first\nsecond\n"
