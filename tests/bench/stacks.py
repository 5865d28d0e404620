"""What is compared: how each stack's receiver and worker are started, and where its queue is.

All receivers are uvicorn with uvloop and httptools, one process, without an access log; the asynchronous workers run on
uvloop too.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from bench.deliveries import render
from bench.load import drive
from bench.peers import eventroute
from bench.processes import SERVER_CORE, Cores, Part, PartFailedError, python, running
from bench.site import Command, Job, Site

SLOTS: Final = 20
"""Of every worker that can have more than one."""

CONNECTIONS: Final = 32
"""Of the load generator, each with one request in flight."""

_READY_S: Final = 30.0
_UVICORN: Final = (
    *("--loop", "uvloop", "--http", "httptools", "--log-level", "warning"),
    *("--no-access-log", "--no-server-header", "--no-date-header"),
)
_FIRST: Final = render(0).request


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One row of the comparison."""

    name: str
    receiver: Callable[[Site], Command]
    worker: Callable[[Site, Job, int], Command] | None = None
    queue: Callable[[Redis], Awaitable[int]] | None = None
    """Counts the jobs that are not done; None where nothing is queued."""
    prepare: Callable[[Site], Awaitable[None]] | None = None
    """What the stack needs in Redis before it starts."""
    poll_s: float = 0.0
    """How often an idle worker looks for work, where it polls."""
    is_slow: bool = False
    """Gets fewer requests."""


async def queued(stack: Stack, redis: Redis) -> int:
    """Count the jobs of a stack that are not done."""
    assert stack.queue is not None
    return await stack.queue(redis)


@asynccontextmanager
async def receiving(stack: Stack, site: Site, *, cores: Cores = SERVER_CORE) -> AsyncIterator[Part]:
    """Run a stack's receiver; when the block begins it has acknowledged one delivery, number 0."""
    if stack.prepare is not None:
        await stack.prepare(site)
    command = stack.receiver(site)
    name = f"receiver of {stack.name}"
    async with running(name, command.argv, cores=cores, folder=site.folder, environ=command.environ) as part:
        await _first_ack(part, site.port)
        yield part


@asynccontextmanager
async def working(
    stack: Stack, site: Site, job: Job, *, cores: Cores = SERVER_CORE, slots: int = SLOTS
) -> AsyncIterator[Part]:
    """Run a stack's worker."""
    assert stack.worker is not None
    command = stack.worker(site, job, slots)
    name = f"worker of {stack.name}"
    async with running(name, command.argv, cores=cores, folder=site.folder, environ=command.environ) as part:
        yield part


async def _first_ack(part: Part, port: int) -> None:
    give_up = time.monotonic() + _READY_S
    while time.monotonic() < give_up:
        part.check()
        try:
            if (await drive(port, [_FIRST], connections=1, limit_s=_READY_S)).acks:
                return
        except OSError:
            pass  # it does not listen yet
        await asyncio.sleep(0.05)
    raise PartFailedError(f"{part.name}: no delivery accepted within {_READY_S:.0f} s:\n{part.tail()}")


def _uvicorn(app: str) -> Callable[[Site], Command]:
    def command(site: Site) -> Command:
        options = ["--port", str(site.port), *_UVICORN]
        return Command(python("uvicorn", f"bench.peers.{app}:app", *options), site.environ)

    return command


def _bare_durable(site: Site) -> Command:
    argv, environ = _uvicorn("bare_durable")(site)
    return Command(argv, {**environ, **eventroute.traced(site)})


def _constant(site: Site) -> Command:
    return Command(python("bench.peers.constant", str(site.port)), site.environ)


def _rq_worker(site: Site, _job: Job, _slots: int) -> Command:
    return Command(python("bench.peers.rq_worker"), site.environ)


def _arq_asking(way: str) -> Callable[[Site, Job, int], Command]:
    def command(site: Site, _job: Job, slots: int) -> Command:
        return Command(python("bench.peers.arq_claude", str(slots), "tuned", way), site.environ)

    return command


def _arq_worker(*options: str) -> Callable[[Site, Job, int], Command]:
    def command(site: Site, job: Job, slots: int) -> Command:
        program = ["bench.peers.arq_claude"] if job == "claude" else ["bench.peers.arq_worker", job]
        return Command(python(*program, str(slots), *options), site.environ)

    return command


async def _rq_queued(redis: Redis) -> int:
    return int(await redis.llen("rq:queue:default"))


async def _arq_queued(redis: Redis) -> int:
    return int(await redis.zcard("arq:queue"))


def _eventroute_worker(site: Site, job: Job, slots: int) -> Command:
    return eventroute.worker(site, job, slots=slots)


FASTAPI_RQ: Final = Stack(
    name="FastAPI + RQ",
    receiver=_uvicorn("fastapi_rq"),
    worker=_rq_worker,
    queue=_rq_queued,
    is_slow=True,
)
LITESTAR_ARQ: Final = Stack(
    name="Litestar + arq",
    receiver=_uvicorn("litestar_arq"),
    worker=_arq_worker(),
    queue=_arq_queued,
    poll_s=0.5,
    is_slow=True,
)
LITESTAR_ARQ_TUNED: Final = Stack(
    name="Litestar + arq, tuned",
    receiver=_uvicorn("litestar_arq"),
    worker=_arq_worker("tuned"),
    queue=_arq_queued,
    poll_s=0.01,
    is_slow=True,
)
ARQ_RETRIES: Final = Stack(
    name="arq, retries", receiver=_uvicorn("litestar_arq"), worker=_arq_asking("retries"), queue=_arq_queued
)
ARQ_BACKOFF: Final = Stack(
    name="arq, backoff", receiver=_uvicorn("litestar_arq"), worker=_arq_asking("backoff"), queue=_arq_queued
)
EVENTROUTE: Final = Stack(
    name="EventRoute",
    receiver=eventroute.receiver,
    worker=_eventroute_worker,
    queue=eventroute.queued,
    prepare=eventroute.publish_route,
)
BARE_DURABLE: Final = Stack(
    name="bare ASGI + EventRoute's script and spans", receiver=_bare_durable, queue=eventroute.queued
)
BARE_ASGI: Final = Stack(name="bare ASGI, no Redis", receiver=_uvicorn("bare_asgi"))
CONSTANT: Final = Stack(name="load generator's ceiling", receiver=_constant)
