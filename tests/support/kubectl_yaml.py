"""Words of YAML without quotes, and what kubectl makes of each: `tests/data/yaml_as_kubectl.json`.

`PYTHONPATH=tests python -m support.kubectl_yaml` asks kubectl anew for the words that stand there.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from support.api_server import BIN

FILE: Final = Path(__file__).parent.parent / "data" / "yaml_as_kubectl.json"
REFUSED: Final = {"refused": True}
"""What stands for a value, or a key, that kubectl refuses; no word is read as an object."""
_HEAD: Final = "apiVersion: example.dev/v1\nkind: Thing\nmetadata: {name: x}\nspec:\n"


class Row(NamedTuple):
    """One word."""

    word: str
    value: Any
    key: Any
    """What it is as a field's name."""


def rows() -> list[Row]:
    """Read the table."""
    return [Row(*row) for row in _parsed(FILE.read_text(encoding="utf-8"))]


def asked(words: Sequence[str]) -> list[Row]:
    """Ask kubectl."""
    values = _read([f"  - {word}\n" for word in words])
    keys = [
        each if each == REFUSED else next(iter(each)) for each in _read([f"  - {word or '~'}: 1\n" for word in words])
    ]
    return [Row(*row) for row in zip(words, values, keys, strict=True)]


def _parsed(text: str) -> Any:
    """Parse as the API server does: what does not fit 64 bits is no whole number."""
    return json.loads(text, parse_int=lambda digits: int(digits) if -(2**63) <= int(digits) < 2**63 else float(digits))


def _read(entries: Sequence[str]) -> list[Any]:
    """Read a list; of one that is refused each half, until the entry that kubectl does not like stands alone."""
    done = subprocess.run(
        [str(BIN / "kubectl"), "label", "--local", "-f", "-", "x=y", "-o", "json"],
        input=_HEAD + "".join(entries),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode == 0:
        return list(_parsed(done.stdout)["spec"])
    if len(entries) == 1:
        return [REFUSED]
    middle = len(entries) // 2
    return [*_read(entries[:middle]), *_read(entries[middle:])]


if __name__ == "__main__":
    lines = [json.dumps(row) for row in asked([row.word for row in rows()])]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
