"""How long a settled delivery stays readable. Nothing expires before it has settled.

The delivery holds a payload, so it goes early; the run holds the answer, which people still ask about after a week. A
dead letter keeps both for as long as somebody may take to look: a replay needs the payload.
"""

from typing import Final, NamedTuple

from eventroute.outcome import RunOutcome

_DAY_MS: Final = 86_400_000


class Retention(NamedTuple):
    """Lifetimes from the moment of settling, in milliseconds."""

    delivery_ms: int
    run_ms: int


SETTLED: Final = Retention(delivery_ms=1 * _DAY_MS, run_ms=7 * _DAY_MS)
DEAD: Final = Retention(delivery_ms=30 * _DAY_MS, run_ms=30 * _DAY_MS)


def retention(outcome: RunOutcome) -> Retention:
    """Look up how long the records of a delivery that ended this way are kept."""
    return DEAD if outcome is RunOutcome.DEAD else SETTLED
