"""Rules that one field's bounds cannot say, written once, in CEL, as the API server evaluates them.

A model's `rules` are evaluated here too when a manifest is read. Its `early_rules` are the API server's alone: what
they refuse the compiler refuses as well, with a reason of its own and words that know more.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from eventroute.expression import Expression, compile_expression

KEYWORD: Final = "x-kubernetes-validations"
"""Where rules stand in a schema."""

FieldReason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]


class Rule(NamedTuple):
    """What must hold of an object, called `self`."""

    cel: str
    message: str
    field: str = ""
    """Where the API server reports it, `.secretRefs`; empty = at the object itself."""
    reason: FieldReason = "FieldValueInvalid"

    def holds(self, value: Any) -> bool:
        """Evaluate over JSON-like data, without the fields that are not set."""
        return _compiled(self.cel).test({"self": value}).holds

    def as_schema(self) -> dict[str, Any]:
        """Write it as an entry of `x-kubernetes-validations`."""
        place = {"fieldPath": self.field} if self.field else {}
        return {"rule": self.cel, "message": self.message, "reason": self.reason, **place}


@cache
def _compiled(cel: str) -> Expression:
    return compile_expression(cel, frozenset({"self"}))


def exactly_one(*fields: str) -> Rule:
    """Of these fields one is set, and no other."""
    are_set = ", ".join(f"has(self.{field})" for field in fields)
    return Rule(f"[{are_set}].filter(is_set, is_set).size() == 1", f"set exactly one of {_listed(fields)}")


def not_both(one: str, other: str) -> Rule:
    """Of these two fields at most one is set."""
    return Rule(f"!(has(self.{one}) && has(self.{other}))", f"set either {one} or {other}")


def value_or(field: str, default: int) -> str:
    """Read a number that is left out where it is the default."""
    return f"(has(self.{field}) ? self.{field} : {default})"


def with_rules(schema: dict[str, Any], model: type[Any]) -> None:
    """Add a model's rules to its JSON schema; Pydantic calls it as `json_schema_extra`."""
    rules: tuple[Rule, ...] = (*model.rules, *model.early_rules)
    if rules:
        schema[KEYWORD] = [rule.as_schema() for rule in rules]


def mark(*rules: Rule) -> Mapping[str, Any]:
    """Write the rules of a single field, as its `json_schema_extra`."""
    return {KEYWORD: [rule.as_schema() for rule in rules]}


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
