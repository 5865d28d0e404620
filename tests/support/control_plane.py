"""The control plane as a whole: a real API server, an operator, a Valkey and a receiver, and what tests ask of them."""

import base64
import contextlib
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from eventroute.runtime.redis import connect
from eventroute.sealed import new_key_text
from support.api_server import ApiServer
from support.operator_process import OperatorProcess, grant_documented, operator_process
from support.own_valkey import OwnValkey, own_valkey
from support.receiver_process import ReceiverProcess, receiver_process
from support.waiting import until

SECRET = "0f2d7f0e4a3b4bd1a0c1"
ROUTES = "/apis/eventroute.dev/v1alpha1/namespaces"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class ControlPlane:
    """Everything of one installation; its parts may be killed and started again."""

    api: ApiServer
    kubernetes: httpx.Client
    hooks: httpx.Client
    operator: OperatorProcess
    valkey: OwnValkey
    receiver: ReceiverProcess
    kubeconfig: Path
    settings: Mapping[str, object]

    def namespace(self) -> "Namespace":
        """Make a namespace of one test's own."""
        name = f"team-{next(_numbers)}"
        self.api.kubectl("create", "namespace", name)
        return Namespace(self, name)


@dataclass(frozen=True)
class Namespace:
    """A namespace, its objects, and what becomes of requests to its routes."""

    plane: ControlPlane
    name: str

    def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object, or replace the one of its name."""
        client = self.plane.kubernetes
        answer = client.post(path, json=body)
        if answer.status_code == httpx.codes.CONFLICT:
            patch = {"Content-Type": "application/merge-patch+json"}
            answer = client.patch(f"{path}/{body['metadata']['name']}", content=json.dumps(body), headers=patch)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def apply_secret(
        self, name: str, values: Mapping[str, str | bytes], *, labels: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Store a Secret."""
        data = {key: base64.b64encode(v.encode() if isinstance(v, str) else v).decode() for key, v in values.items()}
        body = {"metadata": {"name": name, "labels": dict(labels)}, "data": data}
        self.apply(f"/api/v1/namespaces/{self.name}/secrets", body)

    def apply_config_map(self, name: str, **texts: str) -> None:
        """Store a ConfigMap."""
        self.apply(f"/api/v1/namespaces/{self.name}/configmaps", {"metadata": {"name": name}, "data": texts})

    def apply_route(self, name: str = "triage", **spec: Any) -> dict[str, Any]:
        """Store a GitHub route that verifies with `hook/secret`; `spec` replaces fields."""
        fields = {"provider": "github", "secretRefs": [{"name": "hook", "key": "secret"}], **spec}
        body = {
            "apiVersion": "eventroute.dev/v1alpha1",
            "kind": "EventRoute",
            "metadata": {"name": name},
            "spec": fields,
        }
        return self.apply(f"{ROUTES}/{self.name}/eventroutes", body)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object: `eventroutes`, `secrets` or `configmaps`."""
        base = f"{ROUTES}/{self.name}" if kind == "eventroutes" else f"/api/v1/namespaces/{self.name}"
        answer = self.plane.kubernetes.delete(f"{base}/{kind}/{name}")
        assert answer.is_success, answer.text

    def route(self, name: str = "triage") -> dict[str, Any]:
        """Read a route."""
        found: dict[str, Any] = self.plane.kubernetes.get(f"{ROUTES}/{self.name}/eventroutes/{name}").json()
        return found

    def condition(self, kind: str, name: str = "triage") -> dict[str, Any]:
        """Read one of a route's conditions; empty when there is none."""
        conditions = self.route(name).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    async def until_ready(self, name: str = "triage", *, timeout_s: float = 15) -> None:
        """Wait until the latest generation of a route is ready."""

        def is_ready() -> bool:
            route = self.route(name)
            status = route.get("status", {})
            ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
            return ready and status["observedGeneration"] == route["metadata"]["generation"]

        await until(is_ready, timeout_s=timeout_s)

    async def until_not_ready(self, reason: str, name: str = "triage", *, timeout_s: float = 15) -> dict[str, Any]:
        """Wait until a route is not ready for this reason; returns the condition."""

        def is_so() -> bool:
            ready = self.condition("Ready", name)
            return ready.get("status") == "False" and ready["reason"] == reason

        await until(is_so, timeout_s=timeout_s)
        return self.condition("Ready", name)

    def deliver(self, name: str = "triage", *, secret: str = SECRET, delivery: str = "") -> int:
        """Send a signed webhook; returns the status code."""
        body = b'{"action": "opened", "issue": {"number": 1}}'
        headers = {
            "content-type": "application/json",
            "x-github-event": "issues",
            "x-github-delivery": delivery or f"delivery-{next(_numbers)}",
            "x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
        return self.plane.hooks.post(f"/hooks/{self.name}/{name}", content=body, headers=headers).status_code

    def events(self) -> list[tuple[str, str]]:
        """List type and reason of the namespace's Events, oldest first."""
        found = self.plane.kubernetes.get(f"/apis/events.k8s.io/v1/namespaces/{self.name}/events").json()["items"]
        return [(each["type"], each["reason"]) for each in sorted(found, key=lambda each: str(each["eventTime"]))]


@contextlib.contextmanager
def control_plane(folder: Path, api: ApiServer, **settings: object) -> Iterator[ControlPlane]:
    """Run a control plane while the block runs; `settings` are further `OperatorSettings` fields."""
    receiver_key, worker_key = new_key_text(), new_key_text()
    kubeconfig = grant_documented(api, folder)
    with (
        own_valkey(folder) as valkey,
        receiver_process(folder, valkey.url, receiver_key) as receiver,
        api.client() as kubernetes,
        httpx.Client(base_url=receiver.url) as hooks,
    ):
        fields = {
            "redis_url": valkey.url,
            "receiver_table_key": receiver_key,
            "worker_table_key": worker_key,
            "resync_s": 5,
            "status_interval_s": 1,
            "grace_s": 1,
            **settings,
        }
        with operator_process(folder, kubeconfig, **fields) as operator:
            yield ControlPlane(api, kubernetes, hooks, operator, valkey, receiver, kubeconfig, fields)


@contextlib.asynccontextmanager
async def redis_of(plane: ControlPlane) -> AsyncIterator[Any]:
    """Open a client of the installation's Redis."""
    async with connect(plane.valkey.url) as redis:
        yield redis
