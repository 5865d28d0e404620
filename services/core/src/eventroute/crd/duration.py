"""Durations as Kubernetes writes them: `90s`, `1h30m`. Whole seconds; nothing here is faster."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

_PART = re.compile(r"([0-9]+)(h|m|s)")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}

Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,6}[hms]){1,3}$", max_length=21)]


def seconds(duration: str) -> int:
    """Count the seconds of a valid duration."""
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))


def between(least: str, most: str) -> AfterValidator:
    """Bound a duration, both ends included."""

    def check(duration: str) -> str:
        if not seconds(least) <= seconds(duration) <= seconds(most):
            raise ValueError(f"must be between {least} and {most}")
        return duration

    return AfterValidator(check)
