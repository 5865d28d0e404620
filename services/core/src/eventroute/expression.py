"""CEL expressions: whether a route or prompt applies (`filter`, `when`) and whom an event is about (`entity`).

Expressions come from many teams and run in the receiver's event loop over payloads that outsiders wrote, so everything
that can be refused is refused when a route is compiled, and an evaluation ends in a value or in a named error.

The library is common-expression-language (the Rust `cel` crate). cel-python is pure Python and took 9.4 ms for what
takes 1.0 ms here (two comparisons and one `exists` over a 7 kB payload); cel-bind needs declared types and has the
same import name. Upkeep decides the rest: wheels for every platform, and no dependencies of its own. Known deviations
from the CEL specification: `size` of a string counts bytes, there is no optional syntax, and `type` gives a text.

What the library does not do, measured on 2 vCPU, is done here:
- it parses recursively: 300 brackets end a process with a 512 KiB stack, hence the limits *before* parsing;
- converting the payload dominates (0.95 ms for 7 kB, 7 us when only the named fields are handed in), hence `_Paths`;
- it has no cost limit (`map` over 10,000 items: 6 s; 230 copies of a text of 262,144 characters: 4 s and 345 MB), hence
  the cost estimate before each evaluation, by items and by characters;
- `matches` compiles its pattern at each call (up to 66 ms), hence short, literal patterns that are weighed;
- it does not check names ahead of time, hence the scan for variables and functions.
"""

import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

import cel

from eventroute.errors import Refused
from eventroute.suggest import nearest

VARIABLES: Final = frozenset({"payload", "event", "headers", "route"})
"""payload: the event as JSON; event: its type; headers: by name in any case; route: `namespace` and `name`."""

OF_ANSWERS: Final = VARIABLES | {"answer", "entity"}
"""Once there is an answer, too: its `text`, `outcome`, `model` and, with a schema, `value`; whom the event is about."""

MAX_LENGTH: Final = 1024
MAX_TOKENS: Final = 400
MAX_NESTING: Final = 16
"""Brackets within brackets. The parser survives 50 on the smallest thread stack in use (512 KiB, macOS)."""
MAX_COMPREHENSIONS: Final = 4
MAX_COMPREHENSION_NESTING: Final = 2
MAX_ADDITIONS: Final = 16
"""Bounds how much longer than its input a string or list can become."""
MAX_PATTERN_WEIGHT: Final = 512
"""Characters of a `matches` pattern times its repetition counts."""

MAX_VALUES: Final = 10_000
"""JSON values handed in to one evaluation; about 1 us each."""
MAX_CHARACTERS: Final = 262_144
MAX_DEPTH: Final = 64
MAX_COST_US: Final = 250_000
"""Of one evaluation, estimated at its worst; no thread of the process does anything else meanwhile."""
MAX_BATCH_COST_US: Final = 1_000_000
"""Of all evaluations for the events of one request."""
MAX_TEXT_LENGTH: Final = 1024

_MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
_FUNCTIONS: Final = frozenset({"has", "size", "int", "uint", "double", "string", "timestamp", "duration"})
_METHODS: Final = _MACROS | {
    *("size", "contains", "startsWith", "endsWith", "matches", "getFullYear", "getMonth", "getDate", "getDayOfMonth"),
    *("getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds"),
}
_LITERALS: Final = frozenset({"true", "false", "null", "in"})
_READERS: Final = {name: 5 if name == "contains" else 1 for name in (_FUNCTIONS | _METHODS) - _MACROS}
"""Operations that a call counts as: looking for a text takes up to 2.4 ns a character, comparing next to none."""
_OPERATORS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "+", "in"})

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>[bB]?[rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
        |[bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_SYNTAX_ERROR = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]{1,120})")
_REPETITION = re.compile(r"\{(\d+)(?:,(\d*))?\}")


class ExpressionRefused(Refused):
    """An expression that no payload could be tested with; the message gives the fix, `line` and `column` the place."""

    def __init__(self, message: str, *, line: int = 1, column: int = 1, unknown_variable: bool = False) -> None:
        """Take what is wrong and where, both counted from 1 within the expression."""
        super().__init__(message)
        self.line = line
        self.column = column
        self.unknown_variable = unknown_variable


class EvaluationError(StrEnum):
    """Why an expression gave no value for one event; a metric label, and never a part of the payload."""

    MISSING_FIELD = "missing_field"
    TYPE_MISMATCH = "type_mismatch"
    ARITHMETIC = "arithmetic"
    INVALID_VALUE = "invalid_value"
    TOO_LARGE = "too_large"
    WRONG_RESULT = "wrong_result"


class Truth(NamedTuple):
    """Whether an expression holds; with an error it does not."""

    holds: bool
    error: EvaluationError | None = None


class Text(NamedTuple):
    """What an expression names; None with an error, or when it is null or empty."""

    value: str | None
    error: EvaluationError | None = None


class Budget:
    """What the evaluations of one request may take together, however many events it brings."""

    def __init__(self, us: float = MAX_BATCH_COST_US) -> None:
        """Take microseconds, by the estimate that each evaluation is judged by."""
        self._left_us = us
        self.is_short = False
        """Whether something has cost more than was left."""

    def pays(self, cost_us: float) -> bool:
        """Take a share, or nothing when it is more than is left."""
        if cost_us > self._left_us:
            self.is_short = True
            return False
        self._left_us -= cost_us
        return True


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, safe to evaluate over any JSON."""

    source: str
    _program: cel.Program = field(repr=False, compare=False)
    _scan: "_Scan" = field(repr=False, compare=False)

    @property
    def headers(self) -> frozenset[str] | None:
        """The headers that it names, in lower case; None when it may look at any."""
        named = self._scan.paths.get("headers", _Paths())
        return None if named.whole else frozenset(named)

    def test(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Truth:
        """Evaluate to true or false; never raises.

        variables  every allowed name with JSON values (str, int, float, bool, None, list, dict with str keys)
        budget     shared with other evaluations; what exceeds it is `TOO_LARGE`
        """
        value = self._evaluate(variables, budget)
        if isinstance(value, EvaluationError):
            return Truth(holds=False, error=value)
        if not isinstance(value, bool):
            return Truth(holds=False, error=EvaluationError.WRONG_RESULT)
        return Truth(holds=value)

    def text(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Text:
        """Evaluate to a text of at most `MAX_TEXT_LENGTH` characters; whole numbers count as text; never raises."""
        value = self._evaluate(variables, budget)
        if isinstance(value, EvaluationError):
            return Text(None, value)
        if value is None or value == "":
            return Text(None)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return Text(None, EvaluationError.WRONG_RESULT)
        text = str(value)
        return Text(text) if len(text) <= MAX_TEXT_LENGTH else Text(None, EvaluationError.TOO_LARGE)

    def _evaluate(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Any:
        size = _Size()
        try:
            scope = {name: _pick(variables[name], paths, size) for name, paths in self._scan.paths.items()}
            cost_us = self._scan.cost_us(size)
            if cost_us > MAX_COST_US or (budget and not budget.pays(cost_us)):
                return EvaluationError.TOO_LARGE
            return self._program.execute(scope)
        except _TooLargeError:
            return EvaluationError.TOO_LARGE
        except (KeyError, IndexError):
            return EvaluationError.MISSING_FIELD
        except ArithmeticError:
            return EvaluationError.ARITHMETIC
        except TypeError:
            return EvaluationError.TYPE_MISMATCH
        except BaseException as error:
            if isinstance(error, Exception) or _is_panic(error):
                return EvaluationError.INVALID_VALUE
            raise


def compile_expression(source: str, allowed: Collection[str] = VARIABLES) -> Expression:
    """Parse an expression and check every name in it.

    allowed  names of variables that the evaluation will provide
    raises   ExpressionRefused with line and column
    """
    if not source.strip():
        raise ExpressionRefused("the expression is empty")
    if len(source) > MAX_LENGTH:
        raise ExpressionRefused(f"the expression has {len(source)} characters; at most {MAX_LENGTH} are allowed")
    tokens = tuple(_with_small_header_names(list(_tokens(source))))
    _check_shape(tokens)
    program = _parse(_written(source, tokens))
    scan = _Scanner(tokens, allowed).scan()
    strangers = set(program.variables()) - set(scan.paths) - scan.bound
    if strangers:  # two readings of one text: when they differ, neither is trusted
        raise ExpressionRefused(f'cannot tell what "{min(strangers)}" refers to', unknown_variable=True)
    return Expression(source, program, scan)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    column: int
    at: int
    """Its place in the source, in characters from 0."""


_END: Final = _Token("end", "", 0, 0, 0)


def _tokens(source: str) -> Iterator[_Token]:
    at = line_start = 0
    line = 1
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise ExpressionRefused(f"unexpected {source[at]!r}", line=line, column=at - line_start + 1)
        text = found.group()
        if found.lastgroup != "space":
            yield _Token(str(found.lastgroup), text, line, at - line_start + 1, at)
        at = found.end()
        if "\n" in text:
            line += text.count("\n")
            line_start = at - len(text) + text.rindex("\n") + 1


def _check_shape(tokens: tuple[_Token, ...]) -> None:
    """Refuse what could exhaust the parser's stack or grow without bounds, before the parser sees it."""
    if len(tokens) > MAX_TOKENS:
        raise ExpressionRefused(f"the expression has {len(tokens)} words and signs; at most {MAX_TOKENS} are allowed")
    depth = additions = 0
    for token in tokens:
        if token.kind != "sign":
            continue
        depth += (token.text in "([{") - (token.text in ")]}")
        additions += token.text == "+"
        if depth > MAX_NESTING:
            raise _refused(token, f"brackets are nested deeper than {MAX_NESTING}")
    if additions > MAX_ADDITIONS:
        raise ExpressionRefused(f"{additions} additions; at most {MAX_ADDITIONS} are allowed")


def _parse(source: str) -> cel.Program:
    try:
        return cel.compile(source)
    except BaseException as error:
        if not (isinstance(error, Exception) or _is_panic(error)):
            raise
        found = _SYNTAX_ERROR.search(str(error))
        if found is None:
            raise ExpressionRefused("the expression is not valid CEL") from error
        line, column, message = found.groups()
        message = message.split(" expecting ")[0]
        raise ExpressionRefused(message, line=int(line), column=int(column)) from error


def _is_panic(error: BaseException) -> bool:
    """Tell a Rust panic, which PyO3 raises past `Exception`, from an interrupt or a cancellation."""
    return type(error).__name__ == "PanicException"


def _refused(token: _Token, message: str, *, unknown_variable: bool = False) -> ExpressionRefused:
    return ExpressionRefused(message, line=token.line, column=token.column, unknown_variable=unknown_variable)


# --- which names an expression uses ----------------------------------------------------------------------------------


class _Paths(dict[str, "_Paths"]):
    """The fields that an expression names, as a tree; a leaf stands for the whole value."""

    whole: bool = False
    is_repeated: bool = False
    """Something at or below it is looked at anew in each step of a comprehension."""

    def add(self, path: list[str], *, is_repeated: bool) -> None:
        node = self
        node.is_repeated |= is_repeated
        for segment in path:
            node = node.setdefault(segment, _Paths())
            node.is_repeated |= is_repeated
        node.whole = True


@dataclass(frozen=True, slots=True)
class _Scan:
    """What the text of an expression says about its evaluation."""

    paths: Mapping[str, _Paths]
    bound: frozenset[str]
    """Names that comprehensions define."""
    comprehensions: int
    nesting: int
    """Of comprehensions."""
    pattern_weight: int
    tokens: int
    growth: int
    """By how much additions may multiply a list."""
    texts: "_Texts"

    def cost_us(self, size: "_Size") -> float:
        """Estimate from above how long an evaluation takes.

        Measured: a step of a comprehension 2 us, and 0.06 us for each item of a list that it touches (the library
        copies it); compiling a pattern 70 us per unit of weight at worst. For texts see `_Texts`.
        """
        items = (size.largest + self.tokens) * self.growth if self.nesting else 1
        step_us = 2 + 0.06 * items + 70 * self.pattern_weight
        steps_us = max(1, self.comprehensions) * step_us * math.pow(items, self.nesting)
        characters = self.texts.characters(size, items=items, nesting=self.nesting)
        return steps_us + characters * self.texts.character_us(items, pattern_weight=self.pattern_weight)


@dataclass(frozen=True, slots=True)
class _Texts:
    """What the text of an expression says about the characters that its evaluation touches."""

    spread: float
    """How often one text may stand in what is made of it."""
    literals: int
    """Characters that the expression itself brings."""
    operations: int
    """Comparisons, additions and calls: each may read all of its text."""
    is_kept: bool
    """`map` or `filter` keeps what its steps give, and copies all of that at each step."""
    is_outer_item_repeated: bool
    """A comprehension within another one looks at the item of the outer one."""

    def characters(self, size: "_Size", *, items: int, nesting: int) -> float:
        """Estimate from above how many characters all steps touch.

        What only the item of a comprehension holds is touched once in all, anything else at each step.
        """
        once = size.characters * (items if self.is_outer_item_repeated else 1)
        again = (size.repeated + self.literals) * math.pow(items, nesting) if nesting else 0
        return self.spread * (once + again)

    def character_us(self, items: int, *, pattern_weight: int) -> float:
        """Estimate from above what one of them costs.

        Measured: reading 0.0005 us; a pattern 0.003 us per unit of weight; being kept 0.00013 us per step, and so much
        memory that 0.03 us bounds it to about 8 million characters.
        """
        kept_us = 0.03 + 0.00013 * items if self.is_kept else 0
        return 0.0005 * self.operations + 0.003 * pattern_weight + kept_us


class _Scanner:
    """One pass over the tokens of a valid expression; scopes follow brackets, as comprehensions do in CEL."""

    def __init__(self, tokens: tuple[_Token, ...], allowed: Collection[str]) -> None:
        self._tokens = tokens
        self._allowed = allowed
        self._paths: dict[str, _Paths] = {}
        self._scopes: list[str | None] = []
        """The name that each open bracket binds."""
        self._bound: set[str] = set()
        self._comprehensions = 0
        self._nesting = 0
        self._pattern_weight = 0
        self._literals: list[bool] = []
        """Whether each open bracket is that of a list or map that the expression writes."""
        self._placed = 0
        """Names within such brackets."""
        self._is_kept = False
        self._is_outer_item_repeated = False

    def scan(self) -> _Scan:
        binds: str | None = None
        for index, token in enumerate(self._tokens):
            if token.kind == "sign" and token.text in "([{":
                self._scopes.append(binds)
                self._literals.append(token.text == "{" or (token.text == "[" and not self._is_value(index - 1)))
                binds = None
            elif token.kind == "sign" and token.text in ")]}":
                self._scopes.pop()
                self._literals.pop()
            elif token.kind == "name" and token.text not in _LITERALS:
                binds = self._name(index, token)
        additions = sum(token.text == "+" for token in self._tokens)
        return _Scan(
            paths=self._paths,
            bound=frozenset(self._bound),
            comprehensions=self._comprehensions,
            nesting=self._nesting,
            pattern_weight=self._pattern_weight,
            tokens=len(self._tokens),
            growth=1 + additions,
            texts=self._texts(additions),
        )

    def _texts(self, additions: int) -> _Texts:
        stages = self._comprehensions + 1  # each may multiply what the one before it gives: at most evenly shared
        named = [token.text for token in self._tokens if token.kind != "string"]
        calls = sum(_READERS.get(name, 0) for name, after in itertools.pairwise(named) if after == "(")
        return _Texts(
            spread=math.pow(1 + (additions + self._placed) / stages, stages),
            literals=sum(len(token.text) for token in self._tokens if token.kind == "string"),
            operations=max(1, calls + sum(name in _OPERATORS for name in named)),
            is_kept=self._is_kept,
            is_outer_item_repeated=self._is_outer_item_repeated,
        )

    def _is_value(self, index: int) -> bool:
        """Tell whether a value ends here, so that a bracket after it is an index."""
        token = self._at(index)
        return token.text in {")", "]", "}"} or token.kind == "string" or (token.kind == "name" and token.text != "in")

    def _at(self, index: int) -> _Token:
        return self._tokens[index] if 0 <= index < len(self._tokens) else _END

    def _name(self, index: int, token: _Token) -> str | None:
        """Judge one name; returns what the bracket that follows it binds."""
        after_dot = self._at(index - 1).text == "."
        following = self._at(index + 1).text
        if following == "(":
            return self._call(index, token, is_method=after_dot)
        if after_dot:
            owner = self._at(index - 2)
            if owner.kind == "end" or (owner.kind == "sign" and owner.text not in ")]}"):
                raise _refused(token, f'write "{token.text}" without the leading dot')
            return None
        if following == "{":
            raise _refused(token, f'"{token.text}{{…}}": messages cannot be built here')
        self._placed += any(self._literals)
        if token.text not in self._scopes:
            self._variable(index, token)
        elif token.text != [name for name in self._scopes if name][-1]:
            self._is_outer_item_repeated = True
        return None

    def _call(self, index: int, token: _Token, *, is_method: bool) -> str | None:
        known = _METHODS if is_method else _FUNCTIONS
        if token.text not in known:
            raise _refused(token, f'unknown function "{token.text}"{nearest(token.text, known)}')
        if is_method and token.text in _MACROS:
            return self._comprehension(index, token)
        if token.text == "matches":
            self._pattern(index, token)
        return None

    def _comprehension(self, index: int, token: _Token) -> str:
        name = self._at(index + 2)
        if name.kind != "name" or self._at(index + 3).text != ",":
            raise _refused(token, f'"{token.text}" needs a name and an expression: {token.text}(x, x > 1)')
        nesting = 1 + sum(scope is not None for scope in self._scopes)
        if nesting > MAX_COMPREHENSION_NESTING:
            raise _refused(token, f"comprehensions are nested deeper than {MAX_COMPREHENSION_NESTING}")
        self._comprehensions += 1
        if self._comprehensions > MAX_COMPREHENSIONS:
            raise _refused(token, f"more than {MAX_COMPREHENSIONS} comprehensions")
        self._nesting = max(self._nesting, nesting)
        self._is_kept |= token.text in {"map", "filter"}
        self._bound.add(name.text)
        return name.text

    def _pattern(self, index: int, token: _Token) -> None:
        literal = self._at(index + 2)
        if literal.kind != "string" or self._at(index + 3).text != ")":
            raise _refused(token, '"matches" needs a pattern in quotes')
        weight = len(literal.text)
        for low, high in _REPETITION.findall(literal.text):
            weight *= max(1, int(high or low))
        self._pattern_weight += weight
        if self._pattern_weight > MAX_PATTERN_WEIGHT:
            raise _refused(literal, "the pattern is too long or repeats too much")
        try:
            cel.evaluate(f"''.matches({literal.text})")
        except BaseException as error:
            if not (isinstance(error, Exception) or _is_panic(error)):
                raise
            raise _refused(literal, "the pattern is not a valid regular expression") from error

    def _variable(self, index: int, token: _Token) -> None:
        if token.text not in self._allowed:
            message = f'unknown variable "{token.text}"{nearest(token.text, self._allowed)}'
            raise _refused(token, message, unknown_variable=True)
        self._paths.setdefault(token.text, _Paths()).add(list(self._fields(index + 1)), is_repeated=any(self._scopes))

    def _fields(self, at: int) -> Iterator[str]:
        """Follow `.name` and `["name"]` as far as they are plain; a method call or computed index ends the path."""
        while True:
            sign, name, end = self._at(at), self._at(at + 1), self._at(at + 2)
            if sign.text == "." and name.kind == "name" and end.text != "(":
                yield name.text
                at += 2
            elif sign.text == "[" and _is_plain_string(name) and end.text == "]":
                yield name.text[1:-1]
                at += 3
            else:
                return


def _is_plain_string(token: _Token) -> bool:
    return (
        token.kind == "string"
        and token.text[0] in "'\""
        and token.text[1:2] != token.text[0]
        and "\\" not in token.text
    )


def _with_small_header_names(tokens: Sequence[_Token]) -> Iterator[_Token]:
    """Write names of headers as they are kept, in lower case: HTTP makes no difference (RFC 9110, 5.1)."""
    texts = ["", "", "", *(token.text for token in tokens), "", ""]
    for index, token in enumerate(tokens, start=3):
        *_, owner, opened = before = texts[index - 3 : index]
        after = texts[index + 1 : index + 3]
        is_own = owner == "headers" and before[0] != "."  # the event's, not a field of its payload
        is_key = ((is_own and opened == "[") or after == ["in", "headers"]) and _is_plain_string(token)
        is_field = is_own and opened == "." and token.kind == "name" and after[0] != "("
        yield token._replace(text=token.text.lower()) if (is_key or is_field) and token.text.isascii() else token


def _written(source: str, tokens: Iterable[_Token]) -> str:
    """Write tokens, which have kept their lengths, where they stand."""
    written = list(source)
    for token in tokens:
        written[token.at : token.at + len(token.text)] = token.text
    return "".join(written)


# --- what is handed in -----------------------------------------------------------------------------------------------


_VALUE_CHARACTERS: Final = 40
"""So many characters cost as much as one number to look at."""


class _TooLargeError(Exception):
    """More than an evaluation may cost."""


class _Size:
    """How much has been handed in."""

    __slots__ = ("characters", "largest", "repeated", "values")

    def __init__(self) -> None:
        self.values = 0
        self.characters = 0
        """Of texts, and of names of fields."""
        self.repeated = 0
        """Of what each step of a comprehension looks at; a value counts as `_VALUE_CHARACTERS` more."""
        self.largest = 0
        """Items of the largest list or object."""

    def add(self, value: Any, *, is_repeated: bool) -> None:
        """Count a value; raises `_TooLargeError`."""
        before = self.characters + _VALUE_CHARACTERS * self.values
        self._count(value)
        if is_repeated:
            self.repeated += self.characters + _VALUE_CHARACTERS * self.values - before

    def _count(self, value: Any) -> None:
        pending = [(value, 0)]
        while pending:
            item, depth = pending.pop()
            self.values += 1
            if isinstance(item, str):
                self.characters += len(item)
            elif isinstance(item, (dict, list)):
                self.largest = max(self.largest, len(item))
                if depth == MAX_DEPTH or self.values + len(item) > MAX_VALUES:
                    raise _TooLargeError
                if isinstance(item, dict):
                    self.characters += sum(map(len, item))
                pending.extend((child, depth + 1) for child in (item.values() if isinstance(item, dict) else item))
            if self.values > MAX_VALUES or self.characters > MAX_CHARACTERS:
                raise _TooLargeError


def _pick(value: Any, paths: _Paths, size: _Size) -> Any:
    """Copy only the named fields of an object; anything else is handed in as it is."""
    if paths.whole or not isinstance(value, dict):
        size.add(value, is_repeated=paths.is_repeated)
        return value
    return {name: _pick(value[name], inner, size) for name, inner in paths.items() if name in value}
