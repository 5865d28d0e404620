"""What happened when in a worker: lines in a file, on the clock that all processes of a machine share.

A line is written with one system call, so that forked processes can share the file and a stamp costs microseconds.
"""

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

VARIABLE: Final = "BENCH_STAMPS"
"""Environment variable with the file's path."""

STARTED: Final = "started"
ENDED: Final = "ended"


class Stamp(NamedTuple):
    """One line."""

    what: str
    job: str
    at_ns: int


class Stamps:
    """Writes stamps; one per process, inherited by its forks."""

    def __init__(self) -> None:
        self._file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, what: str, job: str) -> None:
        os.write(self._file, f"{what} {job} {time.monotonic_ns()}\n".encode())


def read(path: Path) -> list[Stamp]:
    """Read the stamps that a worker has written so far."""
    if not path.exists():
        return []
    parts = (line.split(" ") for line in path.read_text().splitlines())
    return [Stamp(what, job, int(at_ns)) for what, job, at_ns in parts]
