"""EventRoute itself: its own programs as they are deployed, and a published table with one GitHub route."""

from typing import Final

from redis.asyncio import Redis

from bench.deliveries import SECRET
from bench.processes import free_port, python
from bench.site import Command, Job, Site
from eventroute.ids import RoutePath, RouteUid, route_path
from eventroute.queue import Group
from eventroute.route_table import (
    RECEIVER,
    WORKER,
    LogSink,
    ModelCall,
    PromptRule,
    ReceiverRoute,
    RetentionRule,
    RetryRule,
    WorkerRoute,
)
from eventroute.runtime.tables import publish
from eventroute.schemes import SCHEMES
from eventroute.sealed import SealKey, new_key_text
from eventroute.secret import Secret

GROUP: Final = Group(0)
UID: Final = RouteUid("0b0c7c1e-6f5a-4f0e-9b1a-5d1c2b3a4f5e")
ROUTE: Final = route_path("bench", "github")

_TABLE_KEY: Final = new_key_text()
_TRACED: Final = "0.1"  # of all requests


def receiver_route(path: RoutePath = ROUTE) -> ReceiverRoute:
    """Say what a receiver knows of a route."""
    return ReceiverRoute(
        uid=UID,
        path=path,
        generation=1,
        scheme=SCHEMES["github"],
        secrets=(Secret(SECRET.encode()),),
        secret_names=("hook/secret",),
        public_url=None,
        filter=None,
        max_body_bytes=1 << 20,
        headers=(),  # as the operator has it where neither a filter nor a template looks at one
        rate_limit=None,
    )


def worker_route(path: RoutePath = ROUTE) -> WorkerRoute:
    """Say what a worker knows of a route."""
    model = ModelCall(name="claude-haiku-5-5", max_tokens=1024, timeout_s=120)
    prompt = PromptRule(
        events=("*",),
        when=None,
        model=model,
        system="Analyze this event and summarize what happened.",
        user=None,
    )
    return WorkerRoute(
        uid=UID,
        path=path,
        generation=1,
        provider="github",
        prompts=(prompt,),
        entity=None,
        history=None,
        retry=RetryRule(attempts=8, deadline_s=86_400),
        retention=RetentionRule(),
        sinks=(LogSink(name="log"),),
        api_key=None,
    )


async def publish_route(site: Site) -> None:
    """Put the route into both tables, as the operator does."""
    key = SealKey.from_text(_TABLE_KEY)
    async with Redis.from_url(site.redis_url) as redis:
        await publish(redis, RECEIVER, {ROUTE: receiver_route()}, key)
        await publish(redis, WORKER, {ROUTE: worker_route()}, key)


async def queued(redis: Redis) -> int:
    """Count the deliveries that have not ended."""
    return int(await redis.hget(GROUP.usage, "depth") or 0)


def receiver(site: Site) -> Command:
    """The receiver, tracing one request in ten and exporting those."""
    environ = {
        "EVENTROUTE_RECEIVER_HOST": "127.0.0.1",
        "EVENTROUTE_RECEIVER_PORT": str(site.port),
        "EVENTROUTE_RECEIVER_PROBE_PORT": str(free_port()),
        "EVENTROUTE_RECEIVER_REDIS_URL": site.redis_url,
        "EVENTROUTE_RECEIVER_TABLE_KEY": _TABLE_KEY,
        **traced(site),
        **site.settings,
    }
    return Command(python("eventroute_receiver"), environ)


def worker(site: Site, job: Job, *, slots: int) -> Command:
    """The worker as it is deployed, or its queue layer alone with a job that does not ask Claude."""
    environ = {
        "EVENTROUTE_WORKER_REDIS_URL": site.redis_url,
        "EVENTROUTE_WORKER_TABLE_KEY": _TABLE_KEY,
        "EVENTROUTE_WORKER_ANTHROPIC_API_KEY": "sk-ant-bench",
        "EVENTROUTE_WORKER_ANTHROPIC_BASE_URL": site.claude_url,
        "EVENTROUTE_WORKER_MAX_JOBS": str(slots),
        "EVENTROUTE_WORKER_CONCURRENT_CALLS": str(slots),
        "EVENTROUTE_WORKER_PROBE_PORT": str(free_port()),
        **traced(site),
        **site.environ,
        **site.settings,
    }
    program = (
        ["bench.peers.eventroute_claude"] if job == "claude" else ["bench.peers.eventroute_worker", job, str(slots)]
    )
    return Command(python(*program), environ)


def traced(site: Site) -> dict[str, str]:
    """Trace a tenth of all requests."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": site.claude_url,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": _TRACED,
    }
