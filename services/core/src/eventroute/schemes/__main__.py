"""`python -m eventroute.schemes --write FILE | --check FILE`: the generated page of providers."""

import sys
from pathlib import Path
from typing import Final

from eventroute.schemes.reference import build_reference
from eventroute.schemes.table import SCHEMES

_USAGE: Final = "usage: python -m eventroute.schemes --write FILE | --check FILE"
_ARGUMENTS: Final = 2


def main(arguments: list[str]) -> int:
    """Write the page, or tell whether the file is what would be written; returns the exit code."""
    if len(arguments) != _ARGUMENTS or arguments[0] not in {"--write", "--check"}:
        print(_USAGE, file=sys.stderr)
        return 2
    mode, file = arguments[0], Path(arguments[1])
    page = build_reference(SCHEMES.values())
    if mode == "--write":
        file.write_text(page, encoding="utf-8")
        return 0
    if file.is_file() and file.read_text(encoding="utf-8") == page:
        return 0
    print(f"{file} is not what the scheme table says; run `make generate`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
