"""Secrets in a file of lines `NAMESPACE/NAME/KEY=value`, for people who keep none in manifests.

As in dotenv files, `#` starts a comment line, `export ` may stand before a name, and a value may stand in quotes.
Nothing is expanded, and messages never quote a value.
"""

from typing import NamedTuple

from eventroute.crd.objects import ObjectKey
from eventroute.secret import Secret


class LineMistake(NamedTuple):
    """A line that is not an assignment."""

    line: int
    message: str


class EnvFile(NamedTuple):
    """What a file defines."""

    secrets: dict[ObjectKey, dict[str, Secret]]
    mistakes: tuple[LineMistake, ...]


def parse_env_file(text: str) -> EnvFile:
    """Read assignments; of two for the same key, the later one counts."""
    secrets: dict[ObjectKey, dict[str, Secret]] = {}
    mistakes: list[LineMistake] = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        name, equals, value = content.removeprefix("export ").partition("=")
        parts = name.strip().split("/")
        if not equals or len(parts) != len(("namespace", "name", "key")) or not all(parts):
            mistakes.append(LineMistake(number, "write NAMESPACE/NAME/KEY=value"))
            continue
        namespace, secret, key = parts
        secrets.setdefault(ObjectKey(namespace, secret), {})[key] = Secret(_unquoted(value.strip()).encode())
    return EnvFile(secrets, tuple(mistakes))


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value
