"""What a YAML word without quotes says: as kubectl and Helm read it, which is YAML 1.1 as Go writes it.

`off` is false and `0123` is 83 there, and so here: what is read otherwise would be judged otherwise than it is served.
Compared with kubectl word by word: `tests/data/yaml_as_kubectl.json`.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

Scalar = str | bool | int | float | None

_TRUE: Final = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE: Final = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_WORDS: Final[Mapping[str, bool | float | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(_TRUE, True),
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_BASES: Final = (16, 2, 8, 10)
_INTEGER: Final = re.compile(r"(?P<sign>[-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]{0,19}))")
"""A group for each of `_BASES`; more decimal digits never fit 64 bits."""
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_POINT: Final = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?")
"""A number that begins with its point; only there are underscores looked at more closely."""
_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(2**64)


def read_scalar(text: str) -> Scalar:
    """Read a word: whole numbers up to 64 bits are `int`, others `float`; infinity and NaN are what JSON cannot say."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in ".+-0123456789" or (text[0] == "." and not _POINT.fullmatch(text)):
        return text
    found = _number(text.replace("_", ""))
    return text if found is None else found


def read_key(text: str) -> str | None:
    """Read a field's name without quotes, as text: `y` is "true"; None = kubectl refuses it, or rounds it."""
    value = read_scalar(text)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    whole = _integer(text.replace("_", ""))
    return None if whole is None or whole not in _INT64 else str(whole)


def bare(*, value: bool) -> str:
    """Say which words without quotes are read as this boolean, and what to do about it."""
    words = "on, yes or y as true" if value else "off, no or n as false"
    return f"in quotes: YAML reads a bare {words}"


def _number(plain: str) -> int | float | None:
    """Read digits, without their underscores; None = they are no number, or one too large for any."""
    whole = _integer(plain)
    if whole is not None:
        return whole if whole in _INT64 else float(whole)
    if not _FLOAT.fullmatch(plain):
        return None
    value = float(plain)
    if math.isinf(value):
        return None
    return _as_json_writes(value)


def _integer(plain: str) -> int | None:
    match = _INTEGER.fullmatch(plain)
    if match is None or match.lastindex is None:
        return None
    value = int(match[match.lastindex], _BASES[match.lastindex - 2])  # the first group is the sign
    if match["sign"] == "-":
        value = -value
    return value if value in (_INT64 if match["sign"] else _UINT64) else None


def _as_json_writes(value: float) -> int | float:
    """Make a number without a fraction whole: JSON has no other way to write it, and kubectl goes through JSON."""
    if not value.is_integer():
        return value
    written = int(Decimal(repr(value)))
    return written if written in _INT64 else value
