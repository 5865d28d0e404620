"""The API server, as far as kopf is not the one who asks: lists, status, Events, Lease, autoscalers. Knows no rules.

Errors leave as `RetryLater`, with what is permanent as `Refused`; the callers' loops do the rest.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, cast

import httpx2
import msgspec
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.core.generic_client import ALL_NS
from lightkube.generic_resource import create_namespaced_resource
from lightkube.operators import not_equal
from lightkube.resources.core_v1 import ConfigMap, Secret
from lightkube.resources.events_v1 import Event
from lightkube.types import PatchType

from eventroute.crd.objects import ObjectKey
from eventroute.crd.v1alpha1 import GROUP, KIND
from eventroute.errors import Refused, RetryLater
from eventroute_operator.cluster import PARTIAL, Kind, Reference

FIELD_MANAGER: Final = "eventroute-operator"
METADATA_ONLY: Final = ",".join(
    f"application/json{kind}"
    for kind in (f";as={PARTIAL}List;g=meta.k8s.io;v=v1", f";as={PARTIAL};g=meta.k8s.io;v=v1", "")
)
"""What to accept of Secrets and ConfigMaps, so that a list or watch tells of them without what they hold."""
IGNORED_SECRETS: Final = "helm.sh/release.v1"
"""A type of Secrets that no route can want, and of which there are many and large ones."""

_PAGE: Final = 250
_PERMANENT: Final = frozenset({400, 404, 405, 410, 415, 422})
_Lease: Final = create_namespaced_resource("coordination.k8s.io", "v1", "Lease", "leases")
_EventRoute: Final = create_namespaced_resource(GROUP, "v1alpha1", KIND, "eventroutes")


class AutoscalerKind(StrEnum):
    """What may scale an installation."""

    HPA = "HorizontalPodAutoscaler"
    SCALED_OBJECT = "ScaledObject"


_LIGHT: Final[Mapping[Kind, Any]] = {Kind.SECRET: Secret, Kind.CONFIG_MAP: ConfigMap}
_AUTOSCALERS: Final = {
    AutoscalerKind.HPA: create_namespaced_resource(
        "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
    ),
    AutoscalerKind.SCALED_OBJECT: create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
}


class Forbidden(RetryLater):
    """A permission is missing, or has yet to arrive."""


class NotThere(Refused):
    """No such object; `is_kind` says whether its kind exists."""

    def __init__(self, message: str, *, is_kind: bool) -> None:
        """Take what was asked for."""
        super().__init__(message)
        self.is_kind = is_kind


class Conflict(RetryLater):
    """Somebody else has written the object since it was read, or has just made it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease of `coordination.k8s.io/v1`, as far as an election needs it."""

    holder: str
    """Empty = nobody."""
    epoch: int
    """Its `leaseTransitions`: each holder's number is greater than the one before."""
    lasts_s: float
    """For how long after its last renewal nobody else takes it."""
    version: str
    """Its resourceVersion, another one after each write; empty = it is to be made."""


class _Metadata(msgspec.Struct, frozen=True):
    """What is read of an object that nobody may need: which one it is, and in which version."""

    name: str
    resourceVersion: str  # noqa: N815 - as the API server calls it
    namespace: str = ""
    uid: str = ""


class _Item(msgspec.Struct, frozen=True):
    metadata: _Metadata


class _PageMetadata(msgspec.Struct, frozen=True):
    next: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct, frozen=True):
    """One of the pages of a list of metadata."""

    metadata: _PageMetadata
    items: list[_Item] | None = None  # an empty one is null


class Api:
    """The API server."""

    def __init__(self, client: AsyncClient, *, secret_labels: Mapping[str, str]) -> None:
        """Take a client, and which Secrets may be seen."""
        self._client = client
        self._secret_labels = secret_labels

    async def list(self, kind: Kind, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        """List a kind's objects, of one namespace or of all; of Secrets and ConfigMaps their metadata only."""
        with _translated(f"listing {kind}s"):
            if kind is Kind.ROUTE:
                async for route in self._client.list(_EventRoute, namespace=namespace or ALL_NS, chunk_size=_PAGE):
                    yield dict(route)
                return
            async for found in self._list_metadata(kind, namespace or ALL_NS):
                yield found

    async def find(self, reference: Reference) -> dict[str, Any] | None:
        """Get a Secret or ConfigMap; by a list, which minds labels and needs no further permission."""
        with _translated(f"looking for {reference.kind} {reference.key.namespace}/{reference.key.name}"):
            async for found in self._list_one(reference):
                return found
        return None

    async def write_status(self, key: ObjectKey, uid: str, status: Mapping[str, Any]) -> None:
        """Replace a route's status; raises `Refused` when the route is gone or another one has its name.

        A JSON patch, as that can test the uid: a status must not land on a route that was deleted and made anew, which
        server-side apply lets happen (it ignores the uid of a status). The status has no other writer, and so neither
        needs a resourceVersion, over which two writes of ours could only conflict.
        """
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        with _translated(f"status of {key.namespace}/{key.name}"):
            await self._client.patch(
                _EventRoute.Status,
                key.name,
                patch,
                namespace=key.namespace,
                patch_type=PatchType.JSON,
                field_manager=FIELD_MANAGER,
            )

    async def post_event(self, event: Mapping[str, Any]) -> None:
        """Create an Event of `events.k8s.io/v1`."""
        with _translated("posting an event"):
            await self._client.create(cast("Event", Event.from_dict(dict(event))))

    async def read_lease(self, key: ObjectKey) -> Lease | None:
        """Get a Lease; None = there is none."""
        try:
            with _translated(f"lease {key.namespace}/{key.name}"):
                return _parse_lease(await self._client.get(_Lease, key.name, namespace=key.namespace))
        except NotThere:
            return None

    async def write_lease(self, key: ObjectKey, lease: Lease) -> Lease:
        """Write a Lease over the version that it names, or make it; raises `Conflict` or `NotThere`."""
        body = _lease_body(key, lease, datetime.now(UTC))
        with _translated(f"lease {key.namespace}/{key.name}"):
            if not lease.version:
                return _parse_lease(await self._client.create(_Lease(**body)))
            written = await self._client.patch(
                _Lease,
                key.name,
                body,
                namespace=key.namespace,
                patch_type=PatchType.MERGE,
                field_manager=FIELD_MANAGER,
            )
            return _parse_lease(written)

    async def autoscaler(self, kind: AutoscalerKind, namespace: str, name: str) -> dict[str, Any]:
        """Get an autoscaler; raises `NotThere`."""
        with _translated(f"{kind} {namespace}/{name}"):
            return dict(await self._client.get(_AUTOSCALERS[kind], name, namespace=namespace))

    async def _list_metadata(self, kind: Kind, namespace: str) -> AsyncIterator[dict[str, Any]]:
        params: dict[str, Any] = {"limit": _PAGE}
        if kind is Kind.SECRET:
            params["fieldSelector"] = f"type!={IGNORED_SECRETS}"
            params["labelSelector"] = ",".join(f"{key}={value}" for key, value in self._secret_labels.items()) or None
        # The public client asks for whole objects only.
        client: Any = self._client._client  # noqa: SLF001
        request = client.prepare_request(
            "list", _LIGHT[kind], namespace=namespace, params=params, headers={"Accept": METADATA_ONLY}
        )
        while True:
            answer = await client.send(client.build_adapter_request(request))
            client.raise_for_status(answer)
            page = msgspec.json.decode(answer.content, type=_Page)
            for item in page.items or ():
                yield {"kind": PARTIAL, "metadata": msgspec.structs.asdict(item.metadata)}
            if not page.metadata.next:
                return
            request.params["continue"] = page.metadata.next

    async def _list_one(self, reference: Reference) -> AsyncIterator[dict[str, Any]]:
        fields: dict[str, Any] = {"metadata.name": reference.key.name}
        namespace = reference.key.namespace
        if reference.kind is Kind.SECRET:
            fields["type"] = not_equal(IGNORED_SECRETS)
            labels: dict[str, Any] = dict(self._secret_labels)
            async for secret in self._client.list(Secret, namespace=namespace, fields=fields, labels=labels):
                yield secret.to_dict()
        else:
            async for text in self._client.list(ConfigMap, namespace=namespace, fields=fields):
                yield text.to_dict()


def _parse_lease(body: Mapping[str, Any]) -> Lease:
    spec = body.get("spec") or {}
    return Lease(
        spec.get("holderIdentity") or "",
        spec.get("leaseTransitions") or 0,
        float(spec.get("leaseDurationSeconds") or 0),
        body["metadata"]["resourceVersion"],
    )


def _lease_body(key: ObjectKey, lease: Lease, now: datetime) -> dict[str, Any]:
    """Write a Lease as a merge patch; `renewTime` is for people, as nobody compares clocks."""
    metadata = {"name": key.name, "namespace": key.namespace}
    return {
        "metadata": {**metadata, "resourceVersion": lease.version} if lease.version else metadata,
        "spec": {
            "holderIdentity": lease.holder or None,  # the API server takes no empty one
            "leaseTransitions": lease.epoch,
            "leaseDurationSeconds": round(lease.lasts_s),
            "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        code = error.status.code or 0
        message = f"{what}: {code} {error.status.reason}"
        if code == httpx2.codes.NOT_FOUND:
            raise NotThere(message, is_kind=bool(error.status.details and error.status.details.name)) from error
        if code == httpx2.codes.FORBIDDEN:
            raise Forbidden(message) from error
        if code == httpx2.codes.CONFLICT:
            raise Conflict(message) from error
        raise (Refused(message) if code in _PERMANENT else RetryLater(message)) from error
    except httpx2.HTTPStatusError as error:  # an answer that is no Status: of an API group that does not exist
        message = f"{what}: {error.response.status_code}"
        if error.response.status_code == httpx2.codes.NOT_FOUND:
            raise NotThere(message, is_kind=False) from error
        raise RetryLater(message) from error
    except (httpx2.HTTPError, OSError) as error:
        raise RetryLater(f"{what}: {type(error).__name__}") from error
