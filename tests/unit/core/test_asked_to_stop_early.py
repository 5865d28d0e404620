"""A program that is asked to stop while it still starts: it leaves at once, also where the kernel would not make it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SLOW_IMPORT = """
import sys, time
print("importing", flush=True)
time.sleep(30)
"""


def start(module: str, source: str, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start a module as an image does."""
    (folder / f"{module}.py").write_text(source)
    command = [sys.executable, "-m", "eventroute.runtime.first_process", module, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def importing(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A program in the midst of its imports."""
    with start("slow", SLOW_IMPORT, tmp_path) as process:
        assert process.stdout
        assert process.stdout.readline() == "importing\n"
        yield process
        process.kill()


def test_a_handler_of_its_own_ends_it(importing: "subprocess.Popen[str]") -> None:
    importing.terminate()
    # Minus 15 would be the kernel's doing, which does not happen to a container's first process.
    assert importing.wait(10) == 128 + signal.SIGTERM


def test_the_program_is_run_as_python_would_with_its_arguments(tmp_path: Path) -> None:
    source = "import sys\nprint(__name__, sys.argv[1:])\nsys.exit(3)\n"
    with start("plain", source, tmp_path, "--flag", "value") as process:
        assert process.communicate(timeout=10)[0] == "__main__ ['--flag', 'value']\n"
        assert process.returncode == 3
