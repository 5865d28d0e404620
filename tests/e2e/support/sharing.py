"""Several runs on one machine use one cluster: who comes later finds it up, who leaves last takes it away.

They know of each other by locks of files, which end with their process, however it ends.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Self


class Shared:
    """One run's part in the cluster."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._users = path.open("w")
        self._changing = path.with_suffix(".changing").open("w")

    def __enter__(self) -> Self:
        fcntl.flock(self._users, fcntl.LOCK_SH)
        return self

    def __exit__(self, *_: object) -> None:
        self._users.close()
        self._changing.close()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from starting or stopping the cluster while the block runs."""
        fcntl.flock(self._changing, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._changing, fcntl.LOCK_UN)

    def is_used_by_others(self) -> bool:
        """Tell whether another run uses the cluster; asked while `alone`, so none can begin to."""
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
