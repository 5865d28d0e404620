"""Which files are changed, and which tests are to notice: those that say most in the shortest time come first."""

from pathlib import Path
from typing import Final, NamedTuple

from mutants.change import Change
from mutants.lua import changes_of_lua
from mutants.python import changes_of_python

ROOT: Final = Path(__file__).parents[2]

_CORE: Final = "services/core/src/eventroute/"
_WORKER: Final = "services/worker/src/eventroute_worker/"
_RECEIVER: Final = "services/receiver/src/eventroute_receiver/"


class Part(NamedTuple):
    """Files that share their tests."""

    files: tuple[str, ...]
    """Patterns, from the root of the tree."""
    tests: tuple[str, ...]
    """In the order in which they are run."""


def files_of(part: Part, root: Path = ROOT) -> list[str]:
    """List a part's files."""
    return sorted(
        found.relative_to(root).as_posix() for pattern in part.files for found in root.glob(pattern) if found.is_file()
    )


def changes_of(path: str, root: Path = ROOT) -> list[Change]:
    """List all changes of a file."""
    source = (root / path).read_text(encoding="utf-8")
    return changes_of_lua(path, source) if path.endswith(".lua") else changes_of_python(path, source)
