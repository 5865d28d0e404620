"""How much is measured: all of it, or just enough to see that the benchmark works."""

from typing import Final, NamedTuple


class Effort(NamedTuple):
    """Numbers of rounds, requests and jobs; all fixed beforehand, so that no stack gets more of them for being fast."""

    rounds: int
    """Of the receivers, all stacks in turn in each."""
    warm_up: int
    """Requests before the clock starts."""
    requests: int
    """Per round, for the fast receivers; the slow ones get a fifth, which takes them as long."""
    deliveries: int
    """Single deliveries per stack, for the pick-up."""
    jobs: int
    """Per round, for the workers' throughput."""
    job_rounds: int
    """Of the workers' throughput, all stacks in turn in each."""
    changes: int
    """Of each kind, for the control plane."""
    routes: int
    """How many are many, for the control plane."""

    weighed: int
    """Deliveries whose memory is weighed: enough that the tables which name them are as full as on average."""
    shrunk: int
    """Of the memory that a steady rate fills: by what it is divided."""
    day_s: int
    """How long a day of that takes."""

    running: int
    """Deliveries that run while others are leased."""
    flood: int
    """Deliveries of one route, beside which another one's are picked up."""

    split_rounds: int
    """Of two idle workers that share what came at once."""

    storms: int
    """Kinds of them: by requests, with a limit that halves, by input tokens."""
    storm: int
    """Deliveries at once against rate limits."""
    storm_workers: int
    """Processes that face them."""
    storm_rate: int
    """Requests a second that these allow."""
    storm_tokens: int
    """Input tokens a minute that these allow."""
    storm_limit_s: float
    """How long each stack may take."""


FULL: Final = Effort(
    rounds=5,
    warm_up=500,
    requests=20_000,
    deliveries=200,
    jobs=1_000,
    job_rounds=3,
    changes=40,
    routes=1_000,
    weighed=4_000,
    shrunk=64,
    day_s=8,
    running=10_000,
    flood=100_000,
    split_rounds=3,
    storms=3,
    storm=500,
    storm_workers=4,
    storm_rate=20,
    storm_tokens=200_000,
    storm_limit_s=90,
)
QUICK: Final = Effort(
    rounds=1,
    warm_up=20,
    requests=500,
    deliveries=2,
    jobs=40,
    job_rounds=1,
    changes=2,
    routes=10,
    weighed=300,
    shrunk=1024,
    day_s=1,
    running=200,
    flood=300,
    split_rounds=1,
    storms=1,
    storm=40,
    storm_workers=2,
    storm_rate=20,
    storm_tokens=100_000,
    storm_limit_s=15,
)
