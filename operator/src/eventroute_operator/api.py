"""The API server, as far as kopf is not the one who asks: lists, status, Events, autoscalers. Knows no rules.

Errors leave as `RetryLater`, with what is permanent as `Refused`; the callers' loops do the rest.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, cast

import httpx2
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
from eventroute_operator.cluster import Kind, Reference

FIELD_MANAGER: Final = "eventroute-operator"
IGNORED_SECRETS: Final = "helm.sh/release.v1"
"""A type of Secrets that no route can want, and of which there are many and large ones."""

_PAGE: Final = 250
_PERMANENT: Final = frozenset({400, 404, 405, 410, 415, 422})
_EventRoute: Final = create_namespaced_resource(GROUP, "v1alpha1", KIND, "eventroutes")


class AutoscalerKind(StrEnum):
    """What may scale an installation."""

    HPA = "HorizontalPodAutoscaler"
    SCALED_OBJECT = "ScaledObject"


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


class Api:
    """The API server."""

    def __init__(self, client: AsyncClient, *, secret_labels: Mapping[str, str]) -> None:
        """Take a client, and which Secrets may be seen."""
        self._client = client
        self._secret_labels = secret_labels

    async def list(self, kind: Kind, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        """List a kind's objects, of one namespace or of all."""
        with _translated(f"listing {kind}s"):
            async for found in self._list(kind, namespace or ALL_NS):
                yield found

    async def find(self, reference: Reference) -> dict[str, Any] | None:
        """Get a Secret or ConfigMap; by a list, which minds labels and needs no further permission."""
        with _translated(f"looking for {reference.kind} {reference.key.namespace}/{reference.key.name}"):
            async for found in self._list(reference.kind, reference.key.namespace, name=reference.key.name):
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

    async def autoscaler(self, kind: AutoscalerKind, namespace: str, name: str) -> dict[str, Any]:
        """Get an autoscaler; raises `NotThere`."""
        with _translated(f"{kind} {namespace}/{name}"):
            return dict(await self._client.get(_AUTOSCALERS[kind], name, namespace=namespace))

    async def _list(self, kind: Kind, namespace: str, *, name: str = "") -> AsyncIterator[dict[str, Any]]:
        fields: dict[str, Any] = {"metadata.name": name} if name else {}
        if kind is Kind.ROUTE:
            async for route in self._client.list(_EventRoute, namespace=namespace, chunk_size=_PAGE, fields=fields):
                yield dict(route)
        elif kind is Kind.SECRET:
            fields["type"] = not_equal(IGNORED_SECRETS)
            labels: dict[str, Any] = dict(self._secret_labels)
            async for secret in self._client.list(
                Secret, namespace=namespace, chunk_size=_PAGE, fields=fields, labels=labels
            ):
                yield secret.to_dict()
        else:
            async for text in self._client.list(ConfigMap, namespace=namespace, chunk_size=_PAGE, fields=fields):
                yield text.to_dict()


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
        raise (Refused(message) if code in _PERMANENT else RetryLater(message)) from error
    except httpx2.HTTPStatusError as error:  # an answer that is no Status: of an API group that does not exist
        message = f"{what}: {error.response.status_code}"
        if error.response.status_code == httpx2.codes.NOT_FOUND:
            raise NotThere(message, is_kind=False) from error
        raise RetryLater(message) from error
    except (httpx2.HTTPError, OSError) as error:
        raise RetryLater(f"{what}: {type(error).__name__}") from error
