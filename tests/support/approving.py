"""A delivery whose tool a person has to approve, from the asking to the end; and the person."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from eventroute.models import Models
from eventroute.outbound import OutboundRules
from eventroute.queue import Approval, Desk, Lease
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.server import Served
from eventroute_worker.attempt import Attempt, End, Unapproved
from eventroute_worker.claude import Claude
from eventroute_worker.outbound import Outbound
from eventroute_worker.pricing import Prices
from support.acting_worker import acting_routes
from support.queue import GROUP, lease, work_on
from support.runs import build_runner
from support.tool_server import ToolServer, serving_tools

HOUR_S = 3600
KEY = Secret(DEFAULT_KEY.encode())


@dataclass(frozen=True)
class Approving:
    """A worker, a service, and somebody at the desk."""

    redis: Redis
    claude: Claude
    simulator: Served
    service: ToolServer
    way: Outbound

    @property
    def desk(self) -> Desk:
        """Where the person is."""
        return Desk({GROUP: self.redis})

    async def attempt(self, of: Lease | None = None, **tool: Any) -> End:
        """Make an attempt, and write down its end if it asks."""
        taken = of or await lease(self.redis)
        routes = acting_routes(self.service.port, **{"approval_s": HOUR_S, **tool})
        runner = build_runner(self.redis, claude=self.claude, routes=routes, way=self.way)
        end = await runner(Attempt(taken))
        if isinstance(end, Unapproved):
            await work_on(self.redis).ask(taken, end.asks, until_ms=end.until_ms, error=end.detail)
        return end

    async def say(self, *, approved: bool = True, note: str = "") -> str:
        """Give the person's word on whatever waits first."""
        [first, *_] = await self.desk.approvals()
        return await self.desk.decide(first, approved=approved, by="kim@desk", note=note)

    async def waiting(self) -> list[Approval]:
        """List what waits."""
        return await self.desk.approvals()


@contextlib.asynccontextmanager
async def approving(redis: Redis, simulator: Served) -> AsyncIterator[Approving]:
    """Run the service, and what reaches it and Claude."""
    async with serving_tools() as service:
        rules = OutboundRules.model_validate({"mode": "dev", "ports": (service.port,)})
        prices = Prices(Models.load())
        async with (
            Claude(api_key=KEY, base_url=simulator.url, propagate_trace=False, prices=prices) as claude,
            Outbound(rules) as way,
        ):
            yield Approving(redis, claude, simulator, service, way)
