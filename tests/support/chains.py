"""Routes that hand their answers to each other, compiled as the operator compiles them, and a worker for them."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from redis.asyncio import Redis

from eventroute.compile import Compiled, compile_routes
from eventroute.crd.v1alpha1 import API_VERSION, EventRoute
from eventroute.crd.validate import parse_route
from eventroute.ids import RoutePath
from eventroute.outbound import OutboundRules
from eventroute.queue import Admissions, Limits
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.stats import Tally
from eventroute_worker.attempt import Attempt, End
from eventroute_worker.finding import Finder
from eventroute_worker.outbound import Outbound
from eventroute_worker.sending import Sender
from eventroute_worker.sinks import RemoteSinks, RouteSinkWriter
from support.queue import upkeep_of, work_on
from support.routes import SECRETS
from support.runs import FakeClaude, FakeRoutes, build_runner
from support.worker import running


def route(name: str, *targets: str, **spec: Any) -> EventRoute:
    """Build a route of `team-a` that takes answers and hands its own to others; `triage` is one of GitHub's."""
    is_outer = name == "triage"
    sinks = [{"name": f"to-{target}", "route": {"name": target}} for target in targets] or [{"log": {}}]
    outer: dict[str, Any] = {"provider": "github", "secretRefs": [{"name": "hook", "key": "secret"}]}
    found = parse_route(
        {
            "apiVersion": API_VERSION,
            "kind": "EventRoute",
            "metadata": {"name": name, "namespace": "team-a"},
            "spec": {**(outer if is_outer else {"provider": "eventroute"}), "sinks": sinks, **spec},
        }
    )
    assert isinstance(found, EventRoute), found
    return found


def compile_chain(*routes: EventRoute) -> Compiled:
    """Compile routes that see each other."""
    return compile_routes(routes, secrets=SECRETS, config_maps={})


def table(*routes: EventRoute) -> FakeRoutes:
    """Make the workers' table of them."""
    found = compile_chain(*routes)
    assert [verdict.problems for verdict in found.verdicts if verdict.problems] == []
    return FakeRoutes(*found.worker.values())


def entries(*routes: EventRoute) -> Mapping[RoutePath, Any]:
    """Make the entries of such a table."""
    return compile_chain(*routes).worker


@contextlib.asynccontextmanager
async def chaining(
    redis: Redis, routes: FakeRoutes, *, claude: FakeClaude | None = None, depth: int = 1_000_000
) -> AsyncIterator[FakeClaude]:
    """Run deliveries and hand answers over, in one worker."""
    asked = claude or FakeClaude()
    runner = build_runner(redis, claude=asked, routes=routes)
    admissions = Admissions(ClientCaller(redis), limits=Limits(depth, 0))
    async with Outbound(OutboundRules(mode="dev"), at_once=5) as way:
        sinks = RemoteSinks(way, work_on(redis), chain=RouteSinkWriter(routes, admissions, Tally()))
        sender = Sender(work=work_on(redis), finder=Finder(routes, upkeep_of(redis)), sinks=sinks)

        async def handle(attempt: Attempt) -> End:
            return await (sender if attempt.lease.sink else runner)(attempt)

        async with running(redis, handle):
            yield asked
