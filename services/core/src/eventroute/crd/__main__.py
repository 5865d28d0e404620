"""`python -m eventroute.crd --write | --check`: the generated files of the resource."""

import argparse
import sys
from pathlib import Path
from typing import Final

from eventroute.crd.definition import write_definition
from eventroute.crd.reference import build_reference
from eventroute.crd.structural import NotStructural

DEFINITIONS: Final = (
    Path("k8s/crd/eventroute.dev_eventroutes.yaml"),
    Path("charts/eventroute/files/crds/eventroute.dev_eventroutes.yaml"),
)
"""Byte-identical: a chart can hold no links."""
REFERENCE: Final = Path("k8s/crd/REFERENCE.md")


def main(arguments: list[str]) -> int:
    """Write the files, or tell which are not what would be written; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        definition, reference = write_definition(), build_reference()
    except NotStructural as refused:
        print(refused, file=sys.stderr)
        return 1
    wanted = {**dict.fromkeys(DEFINITIONS, definition), REFERENCE: reference}
    if options.write:
        for file, text in wanted.items():
            (options.root / file).parent.mkdir(parents=True, exist_ok=True)
            (options.root / file).write_text(text, encoding="utf-8")
        return 0
    outdated = [file for file, text in wanted.items() if not _holds(options.root / file, text)]
    for file in outdated:
        print(f"{file} is not what the models say; run `make generate`", file=sys.stderr)
    return 1 if outdated else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eventroute.crd",
        description="Generate the CustomResourceDefinition, its copy in the chart, and the reference of its fields.",
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the files")
    mode.add_argument("--check", action="store_true", help="end with 1 if a file is not what would be written")
    parser.add_argument("--root", type=Path, default=Path(), help="the clone's folder (default: this one)")
    return parser


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
