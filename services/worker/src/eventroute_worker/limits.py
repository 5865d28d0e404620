"""What the headers of the API's answers say of its rate limits, whatever the answer is.

Source: platform.claude.com/docs/en/api/rate-limits, October 2026. What cannot be read counts as not said.
"""

import re
from collections.abc import Mapping
from typing import Final

from eventroute.throttle import Quota, Told

_FIGURE: Final = re.compile(r"[0-9]{1,15}")  # what a double holds exactly: Redis' scripts count in these


def read_limits(headers: Mapping[str, str]) -> Told:
    """Read the headers, which are looked up by names in lower case."""
    return Told(*(_quota(headers, kind) for kind in ("requests", "input-tokens", "output-tokens")))


def _quota(headers: Mapping[str, str], kind: str) -> Quota | None:
    most, left = (headers.get(f"anthropic-ratelimit-{kind}-{what}", "") for what in ("limit", "remaining"))
    return Quota(int(most), int(left)) if _FIGURE.fullmatch(most) and _FIGURE.fullmatch(left) else None
