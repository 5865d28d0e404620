"""Other programs, run to their end: what they say is shown when they fail, and a missing one is named with its cure."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
CACHE: Final = Path(os.environ.get("EVENTROUTE_E2E_CACHE", Path.home() / ".cache" / "eventroute-e2e"))
"""What is worth keeping between runs, outside the clone: binaries, images."""

_TIMEOUT_S: Final = 300.0
_SHOWN_CHARS: Final = 4000


class Failed(Exception):
    """A program ended with a code that nobody expected; the message holds what it said last."""


class Unusable(Exception):
    """This machine, or this cluster, cannot run the tests; the message says what would change that."""


def run(
    *command: str | Path,
    stdin: str = "",
    timeout_s: float = _TIMEOUT_S,
    environ: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> str:
    """Run a program and return its standard output; raises `Failed` with both streams when it fails or hangs.

    environ  added to this process's own
    """
    __tracebackhide__ = True  # what it said is what matters
    try:
        done = subprocess.run(
            [str(part) for part in command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env={**os.environ, **(environ or {})},
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(
            f"{_shown(command)}: not done after {timeout_s:g} s\n{error.stdout!r}\n{error.stderr!r}"
        ) from error
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}".strip()[-_SHOWN_CHARS:]
        raise Failed(f"{_shown(command)}: exit code {done.returncode}\n{said}")
    return done.stdout


def stream(*command: str | Path, timeout_s: float, environ: Mapping[str, str] | None = None) -> None:
    """Run a program that says by itself how far it is, and let it be heard."""
    code = subprocess.call(
        [str(part) for part in command], env={**os.environ, **(environ or {})}, timeout=timeout_s, cwd=ROOT
    )
    if code:
        raise Failed(f"{_shown(command)}: exit code {code}")


def require(programs: Mapping[str, str], cure: str) -> None:
    """Refuse a machine that lacks programs; `programs` maps each to the package that has it."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if missing:
        raise Unusable(f"not installed: {', '.join(missing)}. {cure} {' '.join(missing)}")


def say(text: str) -> None:
    """Tell whoever waits what is being done."""
    print(f"   {text}", flush=True)  # noqa: T201 - progress for people


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(str(part) for part in command)[:200]
