"""Where local runs are: a small file per run, for other commands of the same user, for as long as the run lasts.

The run holds a lock on its file, which the kernel lets go of however the run ends: a file without a lock is stale.
"""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec


class LocalRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of `eventroute dev` or `eventroute demo`."""

    command: str
    pid: int
    redis_url: str
    hooks_url: str


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Name the user's own folder for what lives no longer than a session."""
    if folder := environ.get("XDG_RUNTIME_DIR"):
        return Path(folder) / "eventroute"
    return Path(tempfile.gettempdir()) / f"eventroute-{os.getuid()}"


@contextlib.contextmanager
def announced(run: LocalRun, folder: Path | None = None) -> Iterator[None]:
    """Let other commands find the run while the block runs; without a folder of our own nobody finds it."""
    folder = folder or runtime_folder()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_ours(folder):
                stack.enter_context(_written(folder, run))
        yield


@contextlib.contextmanager
def _written(folder: Path, run: LocalRun) -> Iterator[None]:
    beside, file = folder / f".{run.pid}", folder / f"{run.pid}.json"
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, msgspec.json.encode(run))
        beside.replace(file)  # locked by now: whoever sees it knows that it is not stale
        yield
    finally:
        for name in (beside, file):
            name.unlink(missing_ok=True)
        os.close(descriptor)
        with contextlib.suppress(OSError):  # others are there
            folder.rmdir()


def local_runs(folder: Path | None = None) -> list[LocalRun]:
    """Find the runs of this user that are up; what others left behind is removed."""
    folder = folder or runtime_folder()
    if not folder.is_dir() or not _is_ours(folder):
        return []
    return [run for file in sorted(folder.glob("*.json")) if (run := _read(file)) is not None]


def _read(file: Path) -> LocalRun | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None  # ended meanwhile
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, OSError):
            return msgspec.json.decode(os.read(descriptor, 65_536), type=LocalRun)
    else:
        file.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return None


def _is_ours(folder: Path) -> bool:
    """Tell whether nobody else can put a file there: `/tmp` is everybody's."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
