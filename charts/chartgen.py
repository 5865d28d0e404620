"""`python charts/chartgen.py --write | --check`: what of the chart follows from its values and from the code.

    values.yaml                  →  values.schema.json, and the settings in README.md
    eventroute.acl       →  files/users.acl
    eventroute.outbound  →  files/internet.yaml

A setting's documentation is the comment above it, which must be there; a line `#: {…}` of it is JSON schema beyond the
type, and is required where the default says nothing of what may stand there: empty maps and all lists. Keys that the
values don't have are refused by the schema.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from eventroute import acl, outbound

CHART: Final = Path(__file__).parent / "eventroute"

_TYPES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_OPEN: Final = {"object": "additionalProperties", "array": "items"}
"""What a `#:` line must say of values whose default says too little."""

_MARKED: Final = re.compile(r"(<!-- settings -->\n).*(<!-- end of settings -->\n)", re.DOTALL)
_LONG: Final = 60
"""Characters of a default beyond which the README refers to values.yaml."""


class BadValues(Exception):
    """values.yaml leaves something unsaid; the message names the setting."""


@dataclass(frozen=True)
class Setting:
    """One key of values.yaml with its comment."""

    path: str
    """As `--set` takes it: `worker.anthropic.key`."""
    description: str
    default: Any
    extra: Mapping[str, Any]
    """Schema from the comment."""
    children: "tuple[Setting, ...]" = field(default=())
    """Of a map with a fixed set of keys."""


def read_settings(text: str) -> tuple[Setting, ...]:
    """Read values.yaml; raises `BadValues`."""
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        raise BadValues("values.yaml: not a map")
    return tuple(_read_map(root, yaml.safe_load(text), text.splitlines(), ""))


def _read_map(node: yaml.MappingNode, values: Mapping[str, Any], lines: list[str], parent: str) -> Iterator[Setting]:
    for key, value in node.value:
        path, default = f"{parent}{key.value}", values[key.value]
        description, extra = _read_comment(lines, key.start_mark.line, path)
        is_fixed = isinstance(value, yaml.MappingNode) and "additionalProperties" not in extra
        children = tuple(_read_map(value, default, lines, f"{path}.")) if is_fixed else ()
        kind = _TYPES.get(type(default))
        if kind is None:
            raise BadValues(f"{path}: a default is a text, number, boolean, list or map")
        if kind in _OPEN and not children and _OPEN[kind] not in extra:
            raise BadValues(f"{path}: say `#: {{{_OPEN[kind]}: …}}`")
        yield Setting(path, description, default, extra, children)


def _read_comment(lines: list[str], line: int, path: str) -> tuple[str, dict[str, Any]]:
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    comment = [text.strip() for text in lines[first:line]]
    extra: dict[str, Any] = {}
    for text in comment:
        if text.startswith("#:"):
            extra |= yaml.safe_load(text.removeprefix("#:"))
    description = " ".join(text.removeprefix("#").strip() for text in comment if not text.startswith("#:"))
    if not description:
        raise BadValues(f"{path}: no comment says what it is")
    return description, extra


def build_schema(settings: tuple[Setting, ...]) -> dict[str, Any]:
    """Write the values' JSON schema."""
    schema = _closed(settings)
    # Helm itself adds this one where the chart is a part of another.
    schema["properties"]["global"] = {"description": "Not used by this chart.", "type": "object"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart eventroute",
        **schema,
    }


def _closed(settings: tuple[Setting, ...]) -> dict[str, Any]:
    properties = {setting.path.rpartition(".")[2]: _schema_of(setting) for setting in settings}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _schema_of(setting: Setting) -> dict[str, Any]:
    said = _closed(setting.children) if setting.children else {"type": _TYPES[type(setting.default)]}
    return {"description": setting.description, **said, **setting.extra}


def build_settings_page(settings: tuple[Setting, ...]) -> str:
    """Write the README's section: a heading and a table per group."""
    single = [setting for setting in settings if not setting.children]
    groups = [
        f"### {group.path}\n\n{group.description}\n\n{_table(list(_leaves(group.children)))}"
        for group in settings
        if group.children
    ]
    return "\n".join([_table(single), *groups])


def _leaves(settings: tuple[Setting, ...]) -> Iterator[Setting]:
    for setting in settings:
        if setting.children:
            yield from _leaves(setting.children)
        else:
            yield setting


def _table(settings: list[Setting]) -> str:
    rows = ["| setting | default | |", "|---|---|---|"]
    for setting in settings:
        default = json.dumps(setting.default)
        shown = f"`{default}`" if len(default) <= _LONG else "see `values.yaml`"
        rows.append(f"| `{setting.path}` | {shown} | {setting.description.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def build_acl() -> str:
    """Write Valkey's users; `<name>` stands for the SHA-256 of a user's password."""
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    lines += [f"user {name} on #<{name}> {rules}" for name, rules in acl.rules().items()]
    return "\n".join(lines) + "\n"


def build_internet() -> str:
    """Write the public addresses as blocks of a NetworkPolicy, by the rules that workers have."""
    blocks = [
        {"cidr": str(block), "except": [str(exception) for exception in exceptions]}
        for block, exceptions in outbound.public_blocks()
    ]
    return yaml.safe_dump(blocks, sort_keys=False)


def build_files(chart: Path) -> dict[Path, str]:
    """Write all that is generated, by file."""
    settings = read_settings((chart / "values.yaml").read_text(encoding="utf-8"))
    readme = chart / "README.md"
    page = build_settings_page(settings)
    return {
        chart / "values.schema.json": json.dumps(build_schema(settings), indent=2, ensure_ascii=False) + "\n",
        readme: _MARKED.sub(lambda found: f"{found[1]}\n{page}\n{found[2]}", readme.read_text(encoding="utf-8")),
        chart / "files" / "users.acl": build_acl(),
        chart / "files" / "internet.yaml": build_internet(),
    }


def main(arguments: list[str]) -> int:
    """Write the files, or tell whether they are what would be written; returns the exit code."""
    if arguments not in (["--write"], ["--check"]):
        print("usage: python charts/chartgen.py --write | --check", file=sys.stderr)
        return 2
    stale = {
        path: text
        for path, text in build_files(CHART).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        if arguments == ["--write"]:
            path.write_text(text, encoding="utf-8")
        else:
            print(f"{path.relative_to(CHART.parents[1])} is not current; run `make generate`", file=sys.stderr)
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
