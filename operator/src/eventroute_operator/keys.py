"""`python -m eventroute_operator keys`: make the keys of an installation that nobody has made yet.

The chart runs it before each installation and upgrade: a template cannot see which keys an earlier one has made. What
is there stays, whoever wrote it; what a Secret lacks is added. The Secrets have no owner and carry no label by which a
tool could take them for a part of the release: a release that is removed leaves them, as data is sealed with them.

Each is named in an apply, which may create it: so the permissions to do so can name it too.
"""

import asyncio
import base64
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import httpx2
import structlog
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Secret
from pydantic import Field

from eventroute import acl
from eventroute.errors import Refused, RetryLater
from eventroute.route_table import RECEIVER, WORKER
from eventroute.runtime.program import run_program
from eventroute.runtime.settings import Settings
from eventroute.sealed import new_key_text

_PASSWORD_BYTES: Final = 24
_PAUSE_S: Final = 1.0  # between attempts: permissions may arrive a moment after the pod
_LABELS: Final = {"app.kubernetes.io/name": "eventroute", "app.kubernetes.io/managed-by": "eventroute-keys"}

_log = structlog.get_logger()

Makers = Mapping[str, Callable[[], str]]
"""Keys of a Secret, and what makes each."""


class KeysSettings(Settings):
    """Which Secrets are to be there; one without a name is somebody else's."""

    prefix: ClassVar[str] = "EVENTROUTE_KEYS_"

    namespace: str
    """Where they are."""
    table_keys: str = ""
    """Name of the Secret with the keys that seal the route tables."""
    passwords: str = ""
    """Name of the Secret with the passwords of Valkey's users."""
    patience_s: float = Field(default=30.0, ge=0)
    """How long is tried what does not work."""

    @property
    def wanted(self) -> dict[str, Makers]:
        """Say what each Secret has to hold."""
        both: dict[str, Makers] = {
            self.table_keys: dict.fromkeys((RECEIVER.name, WORKER.name), new_key_text),
            self.passwords: {f"{user}-password": _new_password for user in acl.rules()},
        }
        return {name: makers for name, makers in both.items() if name}


def _new_password() -> str:
    return secrets.token_urlsafe(_PASSWORD_BYTES)


async def make_keys(settings: KeysSettings) -> None:
    """Make what is missing; raises `Refused` when the API server lets us not."""
    client = _client()
    try:
        for name, makers in settings.wanted.items():
            deadline = time.monotonic() + settings.patience_s
            made = await _patiently(client, settings.namespace, name, makers, deadline=deadline)
            _log.info("keys_complete", secret=f"{settings.namespace}/{name}", made=sorted(made))
    finally:
        await client.close()


async def _patiently(client: AsyncClient, namespace: str, name: str, makers: Makers, *, deadline: float) -> set[str]:
    while True:
        try:
            return await _complete(client, namespace, name, makers)
        except RetryLater as error:
            if time.monotonic() >= deadline:
                raise Refused(f"Secret {namespace}/{name}: {error}") from error
            _log.warning("keys_delayed", secret=f"{namespace}/{name}", error=str(error))
        await asyncio.sleep(_PAUSE_S)


async def _complete(client: AsyncClient, namespace: str, name: str, makers: Makers) -> set[str]:
    """Add what one Secret lacks, and name it; raises `RetryLater`."""
    try:
        missing = makers.keys() - await _present(client, namespace, name)
        if missing:
            secret = Secret(
                metadata=ObjectMeta(name=name, namespace=namespace, labels=_LABELS),
                data={key: base64.b64encode(makers[key]().encode()).decode() for key in missing},
            )
            # A manager of this run's own: whoever adds the same key at the same time is told of a conflict.
            await client.apply(secret, field_manager=f"eventroute-keys-{uuid.uuid4().hex[:8]}")
    except ApiError as error:
        raise RetryLater(f"{error.status.code} {error.status.message}") from error
    except (httpx2.HTTPError, OSError) as error:
        raise RetryLater(type(error).__name__) from error
    return missing


async def _present(client: AsyncClient, namespace: str, name: str) -> set[str]:
    try:
        found = await client.get(Secret, name, namespace=namespace)
    except ApiError as error:
        if error.status.code == httpx2.codes.NOT_FOUND:
            return set()
        raise
    return set(found.data or {})


def _client() -> AsyncClient:
    try:
        return AsyncClient()
    except ConfigError as error:
        raise Refused(f"neither a service account nor a kubeconfig is at hand: {error}") from error


def main() -> int:
    """Make the keys; returns the exit code."""
    return run_program("keys", KeysSettings, make_keys, run=asyncio.run)


if __name__ == "__main__":
    sys.exit(main())
