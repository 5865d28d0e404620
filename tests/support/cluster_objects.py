"""Objects as the API server has them, for tests of the operator's parts."""

import base64
import itertools
from typing import Any

from eventroute.crd.objects import ObjectKey
from eventroute.crd.v1alpha1 import API_VERSION, KIND
from eventroute_operator.cluster import Cluster, Kind

SECRET = "5b1f0c8de2a94e7fb0a3"
TRIAGE = ObjectKey("team-a", "triage")

_versions = itertools.count(1000)


def metadata(name: str, *, uid: str = "", version: int | None = None, **more: Any) -> dict[str, Any]:
    """Build metadata; each call has a newer resourceVersion, unless it is given."""
    return {
        "name": name,
        "namespace": "team-a",
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version or next(_versions)),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **more,
    }


def route_body(
    name: str = "triage", *, uid: str = "", version: int | None = None, generation: int = 1, **spec: Any
) -> dict[str, Any]:
    """Build a GitHub route that verifies with `hook/secret`; `spec` replaces fields."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata(name, uid=uid, version=version, generation=generation),
        "spec": {"provider": "github", "secretRefs": [{"name": "hook", "key": "secret"}], **spec},
    }


def secret_body(name: str = "hook", *, uid: str = "", version: int | None = None, **values: str) -> dict[str, Any]:
    """Build a Secret; without values, one with `secret`."""
    data = values or {"secret": SECRET}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": metadata(name, uid=uid, version=version), "data": encoded}


def config_map_body(name: str = "texts", **texts: str) -> dict[str, Any]:
    """Build a ConfigMap."""
    return {"metadata": metadata(name), "data": texts}


def cluster_with(*routes: dict[str, Any], secrets: tuple[dict[str, Any], ...] = ()) -> Cluster:
    """Make a cluster that was told of these objects, and has been asked what changed."""
    cluster = Cluster()
    for route in routes:
        cluster.see(Kind.ROUTE, route)
    for secret in secrets:
        cluster.see(Kind.SECRET, secret)
    cluster.take_dirty()
    return cluster
