"""Where a stack runs: a Valkey of its own, a port, and a file for its worker's stamps."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from bench.peers import stamps
from bench.processes import free_port

Job = Literal["claude", "sleep", "long", "nothing"]
"""What a worker's job does: ask Claude, sleep for 50 ms or for half a second, or nothing."""

JOB_SLEEP_S = 0.05
JOB_LONG_S = 0.5


class Command(NamedTuple):
    """How to start a program."""

    argv: list[str]
    environ: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Site:
    """One place for one stack."""

    folder: Path
    redis_url: str
    claude_url: str
    """Of the stub that also stands for the trace collector."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of EventRoute's programs, over those that every measurement has."""
    port: int = field(default_factory=free_port)
    """Of the receiver."""

    @property
    def stamps(self) -> Path:
        """Where the worker notes what happened."""
        return self.folder / f"stamps-{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What the peers' programs read from the environment."""
        return {
            "REDIS_URL": self.redis_url,
            stamps.VARIABLE: str(self.stamps),
            "ANTHROPIC_BASE_URL": self.claude_url,
            "ANTHROPIC_API_KEY": "sk-ant-bench",
            "ANTHROPIC_OPEN_TELEMETRY": "false",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
        }
