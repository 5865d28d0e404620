"""Durations as Kubernetes writes them: `90s`, `1h30m`. Whole seconds; nothing here is faster."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

from eventroute.crd.rules import Rule, mark

PATTERN: Final = r"^([0-9]{1,6}[hms]){1,3}$"

_PART = re.compile(r"([0-9]+)(h|m|s)")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}

Duration = Annotated[str, StringConstraints(pattern=PATTERN, max_length=21)]


def seconds(duration: str) -> int:
    """Count the seconds of a valid duration."""
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a duration, both ends included: for Pydantic, and as a rule for the API server."""

    least: str
    most: str

    @property
    def _message(self) -> str:
        return f"must be between {self.least} and {self.most}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the text's own form."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the rule to the text's schema."""
        cel = f"duration(self) >= duration('{self.least}') && duration(self) <= duration('{self.most}')"
        return {**handler(schema), **mark(Rule(cel, self._message))}

    def _check(self, duration: str) -> str:
        if not seconds(self.least) <= seconds(duration) <= seconds(self.most):
            raise ValueError(self._message)
        return duration
