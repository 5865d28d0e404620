"""Notices that manifests have changed, by looking at the files' stamps.

Looking works on every file system and in every container, and follows a file through the way in which editors save: by
moving another one into its place, where a watch on the file would stay with the old one.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from eventroute.crd.manifest import SUFFIXES


class _Stamp(NamedTuple):
    path: Path
    inode: int
    size: int
    modified_ns: int


class Changes:
    """What there is of some files and directories, compared with what there was."""

    def __init__(self, paths: Sequence[Path], *, recursive: bool) -> None:
        """Take the state from which changes count; `recursive` looks into folders of directories too."""
        self._paths = paths
        self._recursive = recursive
        self._told = self._before = self._look()

    def come(self) -> bool:
        """Tell whether anything is new since the last time that this was true, and has not changed since the last call.

        The second condition lets a file be written to its end before it is read.
        """
        now = self._look()
        stands_still, self._before = now == self._before, now
        if not stands_still or now == self._told:
            return False
        self._told = now
        return True

    def _look(self) -> frozenset[_Stamp]:
        return frozenset(self._stamps())

    def _stamps(self) -> Iterator[_Stamp]:
        for path in self._files():
            try:
                found = path.stat()
            except OSError:
                continue  # gone: the others tell
            yield _Stamp(path, found.st_ino, found.st_size, found.st_mtime_ns)

    def _files(self) -> Iterator[Path]:
        for path in self._paths:
            if not path.is_dir():
                yield path
                continue
            with contextlib.suppress(OSError):  # whoever reads it tells
                entries = path.rglob("*") if self._recursive else path.iterdir()
                yield from (entry for entry in entries if entry.suffix in SUFFIXES)
