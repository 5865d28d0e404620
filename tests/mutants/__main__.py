"""Small changes of the code that some test must notice: tried in copies of the tree, the checkout stays as it is.

Ends with 0 when at least nine of ten are noticed, with 1 when fewer are, with 2 when tests fail without any change.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from mutants.change import Change, sample
from mutants.report import build_survivor, build_table, describe, share_noticed
from mutants.table import PARTS, ROOT, changes_of, files_of, noticed_by
from mutants.trial import BrokenTestsError, Trees, Tried, Verdict, try_changes

ENOUGH: Final = 0.9
_WIDTH: Final = 140  # also where no terminal tells one


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which of the changes are tried (default: 1)")
    parser.add_argument("--sample", type=int, default=60, metavar="N", help="how many; 0 = all (default: 60)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="files whose path holds this")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="how many at the same time (default: 2)")
    parser.add_argument("--list", action="store_true", help="show the changes and try none")
    options = parser.parse_args(arguments)
    tests = {path: noticed_by(part) for part in PARTS for path in files_of(part) if options.only in path}
    changes = sample((change for path in tests for change in changes_of(path)), seed=options.seed, count=options.sample)
    if options.list:
        for change in changes:
            print("\n".join(build_survivor(Tried(change, Verdict.SURVIVED, 0, ""), ROOT)))
        return 0
    try:
        tried = _try(changes, tests, at_once=options.at_once)
    except BrokenTestsError as error:
        print(error, file=sys.stderr)
        return 2
    Console(width=_WIDTH).print(build_table(tried))
    for each in tried:
        if each.verdict is Verdict.SURVIVED:
            print("\n".join(["", *build_survivor(each, ROOT)]))
    print(f"\nseed {options.seed}: {share_noticed(tried):.0%} of {len(tried)} noticed")
    return 0 if share_noticed(tried) >= ENOUGH else 1


def _try(changes: list[Change], tests: dict[str, tuple[str, ...]], *, at_once: int) -> list[Tried]:
    found = []
    with tempfile.TemporaryDirectory(prefix="eventroute-mutants-") as folder:
        trees = Trees(Path(folder))
        trees.copy(ROOT, at_once)
        for each in try_changes(trees, changes, tests, at_once=at_once):
            found.append(each)
            print(f"[{len(found):3}/{len(changes)}] {describe(each)}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
