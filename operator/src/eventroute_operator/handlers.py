"""kopf's part: it watches EventRoutes, Secrets and ConfigMaps, and hands on what it is told.

kopf runs in a thread and an event loop of its own: when it ends, it cancels every task of its loop, and it ends when
the API server answers what it does not expect. It is then begun again; nobody else notices. It writes nothing: no
finalizers, no annotations, no Events.
"""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import aiohttp
import kopf
import structlog
from kopf._core.engines.peering import Identity

from eventroute.crd.v1alpha1 import GROUP
from eventroute_operator.api import IGNORED_SECRETS
from eventroute_operator.cluster import Kind
from eventroute_operator.settings import OperatorSettings
from eventroute_operator.watches import SERVER_TIMEOUT_S, Watches

_PAGE: Final = 250
_RESTART_S: Final = 1.0
_STOP_S: Final = 2.0
_LOOK_S: Final = 0.1
_LOGIN_S: Final = 1.0  # between attempts; a token may be missed while it is replaced
_SELECTORS: Final = {
    Kind.ROUTE: (GROUP, "v1alpha1", "eventroutes"),
    Kind.SECRET: ("", "v1", "secrets"),
    Kind.CONFIG_MAP: ("", "v1", "configmaps"),
}

_log = structlog.get_logger()


class Change(NamedTuple):
    """What a watch told."""

    kind: Kind
    body: Mapping[str, Any]
    is_gone: bool


Deliver = Callable[[Change], None]
"""Takes what was told, in kopf's thread."""


@contextlib.contextmanager
def watching(settings: OperatorSettings, watches: Watches, deliver: Deliver) -> Iterator[None]:
    """Watch while the block runs."""
    stop = threading.Event()
    watches.begin()
    thread = threading.Thread(target=_watch, args=(settings, watches, deliver, stop), name="kopf", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_STOP_S)


def _watch(settings: OperatorSettings, watches: Watches, deliver: Deliver, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            asyncio.run(_operate(settings, watches, deliver, stop))
        except Exception:  # noqa: BLE001 - whatever ended it, watching goes on
            _log.exception("watching_ended")
        if not stop.is_set():
            _log.warning("watching_begins_anew")
            time.sleep(_RESTART_S)


async def _operate(settings: OperatorSettings, watches: Watches, deliver: Deliver, stop: threading.Event) -> None:
    flag = asyncio.Event()

    async def relay() -> None:
        # Given the thread's own event, kopf waits for it in a thread that nobody can end, and so never ends itself.
        while not stop.is_set():  # noqa: ASYNC110 - a thread's event cannot be awaited
            await asyncio.sleep(_LOOK_S)
        flag.set()

    relaying = asyncio.create_task(relay())
    try:
        await kopf.operator(
            registry=build_registry(watches, deliver),
            settings=kopf_settings(settings),
            standalone=True,
            identity=Identity("eventroute-operator"),  # it would ask for a user's name; a container has none
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=flag,
        )
    finally:
        relaying.cancel()


def build_registry(watches: Watches, deliver: Deliver) -> kopf.OperatorRegistry:
    """Register one handler per kind, and how to log in."""
    registry = kopf.OperatorRegistry()
    for kind, selector in _SELECTORS.items():
        handler = functools.partial(_on_event, kind=kind, watches=watches, deliver=deliver)
        kopf.on.event(*selector, id=kind.lower(), registry=registry)(handler)
    kopf.on.login(registry=registry, backoff=_LOGIN_S)(functools.partial(_login, watches=watches))
    return registry


def kopf_settings(settings: OperatorSettings) -> kopf.OperatorSettings:
    """Set kopf to watch and do nothing else."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True  # which CRDs and namespaces there are is known, and needs permissions to be asked
    found.watching.chunk_size = _PAGE
    found.watching.server_timeout = SERVER_TIMEOUT_S
    found.watching.client_timeout = SERVER_TIMEOUT_S + 30
    found.watching.connect_timeout = 10
    found.networking.error_backoffs = [0.2, 0.5, 1, 2, 3, 5]
    found.queueing.idle_timeout = 1.0  # an object's worker holds the object so long
    secrets = _SELECTORS[Kind.SECRET]
    found.watching.field_selectors[secrets] = f"type!={IGNORED_SECRETS}"
    if settings.secret_labels:
        found.watching.label_selectors[secrets] = ",".join(f"{k}={v}" for k, v in settings.secret_labels.items())
    return found


async def _on_event(*, event: Mapping[str, Any], kind: Kind, watches: Watches, deliver: Deliver, **_: Any) -> None:
    watches.told(kind)
    deliver(Change(kind, event["object"], is_gone=event["type"] == "DELETED"))


async def _login(*, watches: Watches, **given: Any) -> kopf.AiohttpSession:
    """Log in as the pod's service account, or as the kubeconfig says, by a session whose watches are seen."""
    found = kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)
    if found is None:
        raise kopf.PermanentError("neither a service account nor a kubeconfig is at hand")
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=found.as_ssl_context()),
        headers=found.as_http_headers(),
        trace_configs=[watches.trace()],
    )
    return kopf.AiohttpSession(server=found.server, default_namespace=found.default_namespace, aiohttp_session=session)
