"""`python -m eventroute_operator`: keep tables and statuses as the cluster wants them, until SIGTERM or SIGINT."""

import asyncio
import contextlib
import functools
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

import structlog
from lightkube import AsyncClient
from lightkube.core.exceptions import ConfigError
from redis.asyncio import Redis

from eventroute.errors import Refused
from eventroute.models import Models
from eventroute.queue import Group, Upkeep
from eventroute.runtime import background
from eventroute.runtime.link import LinkedRedis, open_link
from eventroute.runtime.probe_port import serving
from eventroute.runtime.program import run_program
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import ClientCaller
from eventroute.sealed import SealKey
from eventroute_operator import metrics
from eventroute_operator.announce import Announcer, announcements
from eventroute_operator.api import Api
from eventroute_operator.cluster import Cluster, RouteObject
from eventroute_operator.handlers import Change, watching
from eventroute_operator.probes import build_probes
from eventroute_operator.reconcile import Reconciler
from eventroute_operator.resync import Resync
from eventroute_operator.settings import OperatorSettings
from eventroute_operator.tables import Tables
from eventroute_operator.watches import Watches
from eventroute_operator.write import Status, StatusWriter

_log = structlog.get_logger()


async def serve(settings: OperatorSettings) -> None:
    """Run until asked to stop. Nothing has to be finished: whoever comes next begins from what is."""
    stop = _asked_to_stop()
    api = Api(_client(), secret_labels=settings.secret_labels)
    announcer = Announcer(api.post_event)
    cluster = Cluster()
    writer = StatusWriter(api.write_status, written=functools.partial(_announce, announcer))
    url = settings.redis_url.get_secret_value()
    link = open_link(url, groups=settings.groups)
    call_soon = functools.partial(_call_soon, asyncio.get_running_loop())
    async with connect(url) as redis:
        reconciler = _reconciler(
            settings, cluster, redis, LinkedRedis(link), api=api, writer=writer, announcer=announcer
        )
        resync = Resync(cluster, reconciler, api, settings)
        watches = Watches(functools.partial(call_soon, resync.soon))
        async with (
            serving(build_probes(reconciler, watches), host=settings.probe_host, port=settings.probe_port) as port,
            background.running(link.run, resync.run, reconciler.run, writer.run, announcer.run),
        ):
            _log.info("operator_started", probe_port=port, namespaces=list(settings.namespaces) or "all")
            # kopf looks only once which resources there are: begin when ours is.
            if await _first_of(stop, reconciler.synced) is reconciler.synced:
                with watching(settings, watches, functools.partial(call_soon, _take, cluster)):
                    await stop.wait()
    _log.info("operator_stopped")


def _asked_to_stop() -> asyncio.Event:
    """Listen for SIGTERM and SIGINT in kopf's stead."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # signals are none of its business here
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    return stop


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    """Call something in a loop's thread, from any other."""
    with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody wants to know any more
        loop.call_soon_threadsafe(callback, *args)


def _announce(announcer: Announcer, route: RouteObject, before: Status, after: Status) -> None:
    for told in announcements(route, before, after):
        announcer.announce(told)


def _take(cluster: Cluster, change: Change) -> None:
    metrics.WATCH_EVENTS.labels(change.kind).inc()
    learn = cluster.forget if change.is_gone else cluster.see
    learn(change.kind, change.body)


def _reconciler(
    settings: OperatorSettings,
    cluster: Cluster,
    redis: Redis,
    shared: LinkedRedis,
    *,
    api: Api,
    writer: StatusWriter,
    announcer: Announcer,
) -> Reconciler:
    """Build it with the tables that it writes, sealed with a key for each reader."""
    tables = Tables(
        redis,
        receiver_key=SealKey.from_text(settings.receiver_table_key.get_secret_value()),
        worker_key=SealKey.from_text(settings.worker_table_key.get_secret_value()),
    )
    return Reconciler(
        cluster,
        redis=redis,
        api=api,
        tables=tables,
        writer=writer,
        hooks_url=settings.hooks_url,
        status_interval_s=settings.status_interval_s,
        grace_s=settings.grace_s,
        models=Models.load(settings.models_path),
        policy=settings.policy,
        outbound=settings.outbound,
        announce=announcer.announce,
        upkeep=Upkeep(shared, ClientCaller(shared)),
        groups=[Group(number) for number in range(settings.groups)],
    )


async def _first_of(*events: asyncio.Event) -> asyncio.Event:
    waiting = {asyncio.create_task(event.wait()): event for event in events}
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return waiting[done.pop()]


def _client() -> AsyncClient:
    try:
        return AsyncClient()
    except ConfigError as error:
        raise Refused(f"neither a service account nor a kubeconfig is at hand: {error}") from error


def main() -> int:
    """Run the operator; returns the exit code."""
    return run_program("operator", OperatorSettings, serve, run=asyncio.run)


if __name__ == "__main__":
    sys.exit(main())
