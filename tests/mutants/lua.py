"""Small changes of a Lua script, made on its text: no mutation library knows Lua.

    comparison turned, or moved by its edge      condition negated          `and` for `or`
    number one higher, one lower                 plus for minus             name of a field changed
    call dropped                                 argument left out          `allow-oom` taken off

Knows of Lua only what these scripts use of it: no long strings, no long comments, one call per statement.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from mutants.change import Change

_TOKEN: Final = re.compile(
    r"(?P<comment>--[^\n]*|\A\#![^\n]*)|(?P<string>'[^'\n]*')|(?P<number>\b\d+\b)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>==|~=|<=|>=|\.\.|[^\s\w])"
)
_SWAPPED: Final = {
    "==": ("~=",),
    "~=": ("==",),
    "<": (">=", "<="),
    "<=": (">", "<"),
    ">": ("<=", ">="),
    ">=": ("<", ">"),
    "+": ("-",),
    "-": ("+",),
    "*": ("/",),
    "/": ("*",),
    "and": ("or",),
    "or": ("and",),
}
_CLOSED_BY: Final = {"if": "then", "elseif": "then", "while": "do"}
_OPENING: Final = "({["
_CLOSING: Final = ")}]"
_KEYWORDS: Final = frozenset({"and", "do", "else", "elseif", "for", "if", "in", "not", "or", "return", "then", "while"})
_TOLD: Final = re.compile(r"'[^a-z]*'|'-inf'|'[^']* [^']*'")
"""Commands and their options, marks, and words for people: no names of fields."""


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Edit(NamedTuple):
    start: int
    end: int
    text: str
    kind: str


def changes_of_lua(path: str, source: str) -> list[Change]:
    """List all changes, in the order of the text."""
    tokens = [
        _Token(match.lastgroup or "", match.group(), match.start(), match.end())
        for match in _TOKEN.finditer(source)
        if match.lastgroup != "comment"
    ]
    edits = [*_of_flags(source), *_of_conditions(source, tokens), *_of_tokens(tokens), *_of_calls(tokens)]
    return [
        change
        for change in (_change(path, source, edit) for edit in sorted(edits))
        if change.kind != "number" or not is_arbitrary(source.splitlines()[change.line - 1])
    ]


def is_arbitrary(line: str) -> bool:
    """Tell whether a line says of its number that another one would do."""
    return "arbitrary" in line.lower()


def _change(path: str, source: str, edit: _Edit) -> Change:
    start, end, text, kind = edit
    return Change(path, source.count("\n", 0, start) + 1, kind, lambda: source[:start] + text + source[end:])


def _of_flags(source: str) -> Iterator[_Edit]:
    flag = " flags=allow-oom"
    if (start := source.find(flag, 0, source.find("\n"))) > 0:
        yield _Edit(start, start + len(flag), "", "allow-oom taken off")


def _of_conditions(source: str, tokens: Sequence[_Token]) -> Iterator[_Edit]:
    for position, token in enumerate(tokens):
        if closed_by := _CLOSED_BY.get(token.text):
            last = next(each for each in range(position, len(tokens)) if tokens[each].text == closed_by)
            start, end = tokens[position + 1].start, tokens[last - 1].end
            yield _Edit(start, end, f"not ({source[start:end]})", "condition negated")


def _of_tokens(tokens: Sequence[_Token]) -> Iterator[_Edit]:
    for before, (kind, text, start, end) in itertools.pairwise(tokens):
        if kind == "number":
            yield _Edit(start, end, str(int(text) + 1), "number")
            yield _Edit(start, end, f"({int(text) - 1})", "number")
        elif kind == "string" and not _TOLD.fullmatch(text):
            yield _Edit(start, end, f"{text[:-1]}_'", "name")
        elif text in _SWAPPED and before.text not in _KEYWORDS and (before.kind != "sign" or before.text in _CLOSING):
            for other in _SWAPPED[text]:
                yield _Edit(start, end, other, f"{text} becomes {other}")


def _of_calls(tokens: Sequence[_Token]) -> Iterator[_Edit]:
    for opening in range(1, len(tokens)):
        name = tokens[opening - 1]
        if tokens[opening].text != "(" or name.kind != "word" or name.text in _KEYWORDS | {"function"}:
            continue
        first = opening - 3 if tokens[opening - 2].text == "." else opening - 1
        before = tokens[first - 1] if first else None
        if before is not None and before.text == "function":
            continue
        closing, commas = _inside(tokens, opening)
        if before is None or _ends_a_statement(before):
            yield _Edit(tokens[first].start, tokens[closing].end, "", "call dropped")
        left_out = commas[1:] if name.text == "call" else commas  # not the key
        for comma, following in itertools.pairwise([*left_out, closing]):
            yield _Edit(tokens[comma].start, tokens[following].start, "", "argument left out")


def _ends_a_statement(token: _Token) -> bool:
    if token.kind == "sign":
        return token.text in _CLOSING
    return token.text not in _KEYWORDS or token.text in {"then", "do", "else"}


def _inside(tokens: Sequence[_Token], opening: int) -> tuple[int, list[int]]:
    """Find where a bracket closes, and the commas right inside."""
    depth, commas = 0, []
    for position in range(opening, len(tokens)):
        text = tokens[position].text
        depth += (text in _OPENING) - (text in _CLOSING)
        if text == "," and depth == 1:
            commas.append(position)
        if depth == 0:
            return position, commas
    raise ValueError("a bracket that never closes")
