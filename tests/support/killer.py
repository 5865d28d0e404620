"""A worker program with one fault: a certain delivery kills it as soon as its payload is read.

    python -m support.killer <Redis' URL> <the killer's delivery id> <attempts of the route>

Everything else is the worker's own, but for Claude and the route table, which are the tests'.
"""

import asyncio
import os
import signal
import sys

from eventroute.delivery import Delivery
from eventroute.prompt import Prompt
from eventroute.queue import Begun
from eventroute.route_table import ModelCall, RetryRule
from eventroute.runtime.redis import connect
from eventroute.runtime.stats import Tally
from eventroute.secret import Secret
from eventroute_worker import run
from eventroute_worker.answer import Reply
from eventroute_worker.attempt import Attempt
from eventroute_worker.worker import QueueWorker
from support.queue import work_on
from support.runs import FakeClaude, FakeRoutes, build_runner, worker_route

LEASE_S = 60.0  # the test lets leases run out; here they must not by themselves


class Slow(FakeClaude):
    """Takes its time, so that deliveries are in the middle of their calls when the worker dies."""

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        await asyncio.sleep(0.05)
        return await super().ask(call, prompt, api_key=api_key)


async def main(url: str, killer: str, attempts: int) -> None:
    """Work until told to stop, or until killed."""
    read = run._read_delivery

    def deadly(attempt: Attempt, begun: Begun) -> Delivery:
        if attempt.delivery == killer:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(attempt, begun)

    run._read_delivery = deadly
    routes = FakeRoutes(worker_route(retry=RetryRule(attempts=attempts, deadline_s=3600)))
    async with connect(url) as redis:
        runner = build_runner(redis, claude=Slow(), routes=routes)
        worker = QueueWorker(redis, work_on(redis), runner, tally=Tally(), slots=5, grace_s=10, lease_s=LEASE_S)
        await worker.async_run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
