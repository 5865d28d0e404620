"""An installation that serves one route, to send a burst of deliveries to and to disturb in the middle of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventroute.route_table import ModelCall, PromptRule, RetryRule, StreamSink
from support.account import RESULTS, SECOND
from support.installation import Installation, installation
from support.sample_routes import receiver_route, worker_route


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Installation]:
    """Redis, the simulator and a route with two streams; receivers and workers are the tests' own."""
    prompt = PromptRule(
        events=("*",),
        when=None,
        model=ModelCall(name="claude-haiku-5-5", max_tokens=64, timeout_s=2, thinking="disabled"),
        system="Summarize.",
        user=None,
    )
    work = worker_route(
        prompts=(prompt,),
        retry=RetryRule(attempts=20, deadline_s=600),
        sinks=tuple(StreamSink(name=name, stream=name, max_entries=100_000) for name in (RESULTS, SECOND)),
    )
    async with installation(tmp_path) as running:
        await running.publish(receiver_route(), work)
        yield running
