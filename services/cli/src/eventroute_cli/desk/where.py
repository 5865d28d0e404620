"""Which Redis people look at: the one that they name, a local run's, or an installation's in a cluster."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Final, NamedTuple, TypeVar

import typer

from eventroute.errors import Refused
from eventroute.queue import Desk, Group
from eventroute.runtime.redis import connect
from eventroute_cli.desk.cluster import Cluster, forwarded
from eventroute_cli.local.whereabouts import local_runs

_PANEL: Final = "Where"

RedisUrlOption = Annotated[
    str,
    typer.Option("--redis-url", help="The Redis to look into; also $REDIS_URL.", rich_help_panel=_PANEL),
]
ContextOption = Annotated[str, typer.Option("--context", help="A cluster of your kubeconfig.", rich_help_panel=_PANEL)]
NamespaceOption = Annotated[
    str,
    typer.Option("-n", "--namespace", help="Namespace of the installation in the cluster.", rich_help_panel=_PANEL),
]
ReleaseOption = Annotated[
    str, typer.Option("--release", help="Helm release, where a namespace has several.", rich_help_panel=_PANEL)
]
GroupsOption = Annotated[
    int,
    typer.Option(
        "--groups", help="Into how many groups the queue is split, for a Redis Cluster.", min=1, rich_help_panel=_PANEL
    ),
]

_T = TypeVar("_T")


class Place(NamedTuple):
    """What the user says of where to look, the options of each command; nothing at all means a local run."""

    redis_url: RedisUrlOption = ""
    context: ContextOption = ""
    namespace: NamespaceOption = ""
    release: ReleaseOption = ""
    groups: GroupsOption = 1


def at_desk(place: Place, work: Callable[[Desk], Awaitable[_T]]) -> _T:
    """Do something at the desk of the place that is meant; raises `Refused` where there is none."""
    with found(place) as url:

        async def there() -> _T:
            async with contextlib.AsyncExitStack() as open_:
                groups = [Group(number) for number in range(place.groups)]
                clients = {each: await open_.enter_async_context(connect(url, tag=each.tag)) for each in groups}
                return await work(Desk(clients))

        return asyncio.run(there())


@contextlib.contextmanager
def found(place: Place) -> Iterator[str]:
    """Give the Redis' URL while the block runs."""
    cluster = Cluster(place.context, place.namespace, place.release)
    if any(cluster):
        if place.redis_url:
            raise Refused("--redis-url names a Redis, and --context, -n and --release a cluster: give one of them")
        with forwarded(cluster) as url:
            yield url
        return
    yield place.redis_url or os.environ.get("REDIS_URL") or _local()


def _local() -> str:
    runs = local_runs()
    if not runs:
        raise Refused(
            "where? No `eventroute dev` or `eventroute demo --serve` runs on this machine; name an installation in a "
            "cluster by its namespace (-n eventroute), or a Redis with --redis-url"
        )
    if len(runs) > 1:
        several = "".join(f"\n  {run.command}, process {run.pid}: --redis-url {run.redis_url}" for run in runs)
        raise Refused(f"several local runs are up; say which:{several}")
    return runs[0].redis_url
