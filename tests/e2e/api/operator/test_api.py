"""What the API server answers to questions about what is not there, and to a status for a route that is another one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lightkube import AsyncClient, KubeConfig

from eventroute.crd.objects import ObjectKey
from eventroute.crd.status import StatusReason
from eventroute.errors import Refused
from eventroute_operator.api import Api, NotThere
from eventroute_operator.cluster import Kind, Reference
from eventroute_operator.scaling import Scaling, look_at_scaling
from eventroute_operator.settings import ScalingMode
from support.api_server import ApiServer
from support.control_plane import SECRET, ControlPlane, Namespace
from support.operator_process import NAMESPACE

SCALED_OBJECTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "scope": "Namespaced",
        "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[Api]:
    """The operator's own way to the API server, with its own permissions."""
    client = AsyncClient(config=KubeConfig.from_file(str(plane.kubeconfig)))
    yield Api(client, secret_labels={})
    await client.close()


async def test_scaling_is_told_from_what_keda_says(api: Api, api_server: ApiServer, tmp_path: Path) -> None:
    async def look(mode: ScalingMode = "keda") -> Scaling:
        return await look_at_scaling(api, mode, namespace=NAMESPACE, names=("worker",), before=Scaling())

    assert (await look("none")).reason is StatusReason.FIXED
    assert (await look()).reason is StatusReason.KEDA_NOT_INSTALLED
    path = tmp_path / "scaledobjects.json"
    path.write_text(json.dumps(SCALED_OBJECTS), encoding="utf-8")
    api_server.define(path)
    try:
        missing = await look()
        assert missing.reason is StatusReason.AUTOSCALER_NOT_READY
        assert "does not exist" in missing.message
        scaled = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "worker", "namespace": NAMESPACE},
        }
        for status, reason in (("False", StatusReason.AUTOSCALER_NOT_READY), ("True", StatusReason.AUTOSCALED)):
            told = {**scaled, "status": {"conditions": [{"type": "Ready", "status": status}]}}
            api_server.kubectl("apply", "-f", "-", stdin=json.dumps(told))
            assert (await look()).reason is reason
    finally:
        api_server.kubectl("delete", "crd", "scaledobjects.keda.sh")


async def test_scaling_is_told_from_what_kubernetes_autoscaler_says(api: Api, api_server: ApiServer) -> None:
    async def look() -> Scaling:
        return await look_at_scaling(api, "hpa", namespace=NAMESPACE, names=("worker",), before=Scaling())

    missing = await look()
    assert missing == (StatusReason.AUTOSCALER_NOT_READY, f"HorizontalPodAutoscaler {NAMESPACE}/worker does not exist")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "worker", "namespace": NAMESPACE},
        "spec": {"scaleTargetRef": target, "maxReplicas": 2},
    }
    api_server.kubectl("apply", "-f", "-", stdin=json.dumps(autoscaler))
    try:
        assert "has not said anything" in (await look()).message
        for status, reason in (("False", StatusReason.AUTOSCALER_NOT_READY), ("True", StatusReason.AUTOSCALED)):
            told = {"type": "ScalingActive", "status": status, "reason": "Told", "message": "no figures"}
            patch = json.dumps({"status": {"desiredReplicas": 1, "currentMetrics": None, "conditions": [told]}})
            where = ("horizontalpodautoscaler", "worker", "-n", NAMESPACE, "--subresource=status", "--type=merge")
            api_server.kubectl("patch", *where, "-p", patch)
            found = await look()
            assert found.reason is reason
            assert found.message.endswith("is not ready: no figures") == (status == "False")
    finally:
        api_server.kubectl("delete", "horizontalpodautoscaler", "worker", "-n", NAMESPACE)


async def test_a_missing_permission_is_no_sign_that_nothing_scales(api: Api) -> None:
    found = await look_at_scaling(api, "hpa", namespace="kube-system", names=("worker",), before=Scaling())
    assert found.reason is StatusReason.AUTOSCALER_NOT_READY
    assert "403" in found.message


async def test_a_status_never_lands_on_a_route_of_the_same_name(api: Api, team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    uid = team.apply_route()["metadata"]["uid"]
    await team.until_ready()
    team.delete("eventroutes", "triage")
    team.apply_route()
    await team.until_ready()
    with pytest.raises(Refused):
        await api.write_status(ObjectKey(team.name, "triage"), uid, {"path": "/of/the/first"})
    assert team.route()["status"]["path"] == f"/hooks/{team.name}/triage"


async def test_a_status_for_nobody_is_refused_and_makes_nobody(api: Api, team: Namespace) -> None:
    with pytest.raises(NotThere):
        await api.write_status(ObjectKey(team.name, "nobody"), "uid", {"path": "/"})
    assert team.route("nobody")["kind"] == "Status"


async def test_what_is_looked_for_is_found_by_name_or_not(api: Api, team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    found = await api.find(Reference(Kind.SECRET, ObjectKey(team.name, "hook")))
    assert found is not None
    assert found["metadata"]["name"] == "hook"
    assert await api.find(Reference(Kind.SECRET, ObjectKey(team.name, "absent"))) is None
    assert await api.find(Reference(Kind.CONFIG_MAP, ObjectKey(team.name, "absent"))) is None


async def test_labels_hide_secrets_from_lists_and_looks(plane: ControlPlane, team: Namespace) -> None:
    team.apply_secret("plain", {"secret": SECRET})
    team.apply_secret("chosen", {"secret": SECRET}, labels={"eventroute.dev/use": "webhook"})
    client = AsyncClient(config=KubeConfig.from_file(str(plane.kubeconfig)))
    api = Api(client, secret_labels={"eventroute.dev/use": "webhook"})
    assert [found["metadata"]["name"] async for found in api.list(Kind.SECRET, team.name)] == ["chosen"]
    assert await api.find(Reference(Kind.SECRET, ObjectKey(team.name, "plain"))) is None
    await client.close()


async def test_releases_of_helm_are_not_even_listed(api: Api, team: Namespace) -> None:
    release = {"metadata": {"name": "sh.helm.release.v1.a.v1"}, "type": "helm.sh/release.v1"}
    team.apply(f"/api/v1/namespaces/{team.name}/secrets", release)
    assert [found async for found in api.list(Kind.SECRET, team.name)] == []


async def test_more_routes_than_a_page_are_all_listed(api: Api, team: Namespace) -> None:
    for number in range(260):
        team.apply_route(f"r{number}", suspend={"mode": "drop"})
    assert len([found async for found in api.list(Kind.ROUTE, team.name)]) == 260
