"""kopf tells of every object, logs in again when that failed, keeps to what it was given, and writes nothing."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kmock import KubernetesEmulator, ResourceInfo

from eventroute_operator.cluster import Kind
from eventroute_operator.handlers import Change, watching
from eventroute_operator.settings import OperatorSettings
from eventroute_operator.watches import Watches
from support.cluster_objects import config_map_body, route_body, secret_body
from support.waiting import until

pytestmark = pytest.mark.real

ROUTES = "/apis/eventroute.dev/v1alpha1/namespaces/team-a/eventroutes"
SECRETS = "/api/v1/namespaces/team-a/secrets"
TEXTS = "/api/v1/namespaces/team-a/configmaps"

Told = list[tuple[Kind, str, bool]]


@pytest.fixture
def kubernetes(kmock: KubernetesEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubernetesEmulator:
    """An API that knows the kinds, where kopf finds it."""
    for plural, kind in (
        ("eventroute.dev/v1alpha1/eventroutes", "EventRoute"),
        ("v1/secrets", "Secret"),
        ("v1/configmaps", "ConfigMap"),
        ("v1/namespaces", "Namespace"),
    ):
        verbs = {"get", "list", "watch", "patch", "create", "delete"}
        kmock.resources[plural] = ResourceInfo(kind=kind, namespaced=kind != "Namespace", verbs=verbs)
    config = {
        "clusters": [{"name": "a", "cluster": {"server": str(kmock.url).rstrip("/")}}],
        "users": [{"name": "a", "user": {"token": "a"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))
    return kmock


def settings(**fields: object) -> OperatorSettings:
    needed = {"redis_url": "redis://unused", "receiver_table_key": "a", "worker_table_key": "b"}
    return OperatorSettings.model_validate({**needed, **fields})


def collect(told: Told) -> Any:
    def deliver(change: Change) -> None:
        told.append((change.kind, change.body["metadata"]["name"], change.is_gone))

    return deliver


async def until_watching(kubernetes: KubernetesEmulator) -> None:
    """Wait until all is watched: here, what happens between a list and its watch is told by neither."""

    def is_so() -> bool:
        watched = {asked.url.path for asked in kubernetes["get"] if "watch" in asked.params}
        return len(watched) == len(Kind)

    await until(is_so)
    await asyncio.sleep(0.1)  # the emulator tells of all that is there once more as a watch begins


async def request(
    kubernetes: KubernetesEmulator, method: str, path: str, body: Mapping[str, Any] | None = None
) -> None:
    async with (
        aiohttp.ClientSession(str(kubernetes.url).rstrip("/")) as session,
        session.request(method, path, json=body) as answer,
    ):
        assert answer.ok, await answer.text()


async def test_what_is_there_and_what_comes_and_goes_is_told(kubernetes: KubernetesEmulator) -> None:
    told: Told = []
    await request(kubernetes, "POST", ROUTES, route_body())
    await request(kubernetes, "POST", SECRETS, secret_body())
    watches = Watches(lambda: None)
    with watching(settings(), watches, collect(told)):
        await until(lambda: set(told) == {(Kind.ROUTE, "triage", False), (Kind.SECRET, "hook", False)})
        await until_watching(kubernetes)
        told.clear()
        await request(kubernetes, "POST", TEXTS, config_map_body(a="b"))
        await request(kubernetes, "PATCH", f"{ROUTES}/triage", {"spec": {"suspend": {"mode": "drop"}}})
        await request(kubernetes, "DELETE", f"{SECRETS}/hook")
        changes = {(Kind.CONFIG_MAP, "texts", False), (Kind.ROUTE, "triage", False), (Kind.SECRET, "hook", True)}
        await until(lambda: set(told) == changes)
    assert all(watches.age(kind) < 10 for kind in Kind)


async def test_kopf_itself_writes_nothing(kubernetes: KubernetesEmulator) -> None:
    told: Told = []
    await request(kubernetes, "POST", ROUTES, route_body())
    with watching(settings(), Watches(lambda: None), collect(told)):
        await until_watching(kubernetes)
        told.clear()
        await request(kubernetes, "PATCH", f"{ROUTES}/triage", {"spec": {"suspend": {"mode": "drop"}}})
        await until(lambda: bool(told))
    assert (len(kubernetes["post"]), len(kubernetes["patch"]), len(kubernetes["put"])) == (1, 1, 0)
    metadata = kubernetes.objects["eventroute.dev/v1alpha1/eventroutes", "team-a", "triage"]["metadata"]
    assert not {"annotations", "finalizers"} & set(metadata)


async def test_only_the_given_namespaces_and_labels_are_asked_for(kubernetes: KubernetesEmulator) -> None:
    told: Told = []
    given = settings(namespaces="team-a", secret_labels="eventroute.dev/use=webhook")
    for name in ("team-a", "team-b"):
        body = {**route_body(), "metadata": {**route_body()["metadata"], "namespace": name, "uid": name}}
        await request(kubernetes, "POST", ROUTES.replace("team-a", name), body)
    with watching(given, Watches(lambda: None), collect(told)):
        await until(lambda: len(kubernetes["get"]["/api/v1/namespaces/team-a/secrets"]) >= 2)
        await until(lambda: bool(told))
    assert set(told) == {(Kind.ROUTE, "triage", False)}
    for asked in kubernetes["get"]["/api/v1/namespaces/team-a/secrets"]:
        assert asked.params["labelSelector"] == "eventroute.dev/use=webhook"
        assert asked.params["fieldSelector"] == "type!=helm.sh/release.v1"
    assert len(kubernetes["get"]["/api/v1/secrets"]) == 0


async def test_a_login_that_fails_is_tried_again_soon(kubernetes: KubernetesEmulator, tmp_path: Path) -> None:
    told: Told = []
    await request(kubernetes, "POST", ROUTES, route_body())
    config = tmp_path / "kubeconfig"
    hidden = config.rename(tmp_path / "hidden")
    with watching(settings(), Watches(lambda: None), collect(told)):
        await asyncio.sleep(1)
        assert told == []
        hidden.rename(config)
        await until(lambda: bool(told), timeout_s=20)
