"""`k8s/base` and its overlays: the chart for people without Helm, never behind it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import manifests
import pytest
import yaml

from support.api_server import BIN, ApiServer
from support.chart import HELM, Object, pods

K8S = Path(__file__).parents[3] / "k8s"
TREES = {"base": {}, **{f"overlays/{name}": values for name, values in manifests.OVERLAYS.items()}}


@pytest.fixture(autouse=True)
def helm_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM", str(HELM))


def kustomize(tree: str) -> list[Object]:
    command = [str(BIN / "kubectl"), "kustomize", str(K8S / tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def by_name(objects: Sequence[Any]) -> dict[tuple[str, str], Any]:
    return {(item["kind"], item["metadata"]["name"]): item for item in objects if item["kind"] != "Namespace"}


def secrets(*arguments: str) -> dict[str, dict[str, str]]:
    command = [sys.executable, str(K8S / "make_secrets.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {item["metadata"]["name"]: item["stringData"] for item in json.loads(done.stdout)["items"]}


def test_they_are_what_the_chart_renders(capsys: pytest.CaptureFixture[str]) -> None:
    assert manifests.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("tree", TREES)
def test_kustomize_builds_what_helm_renders_with_the_same_values(tree: str) -> None:
    rendered = manifests.render(manifests.merged(manifests.BASE, TREES[tree]))
    assert by_name(kustomize(tree)) == by_name([manifest.value for manifest in rendered])


@pytest.mark.parametrize("tree", TREES)
def test_no_secret_is_among_them(tree: str) -> None:
    assert "Secret" not in {item["kind"] for item in kustomize(tree)}


@pytest.mark.parametrize("tree", TREES)
def test_the_api_server_accepts_them(api: ApiServer, tree: str) -> None:
    api.try_kubectl("create", "namespace", "eventroute")
    said = api.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-k", str(K8S / tree))
    assert said.count(" serverside-applied (server dry run)\n") == len(kustomize(tree))


@pytest.mark.parametrize("tree", ["base", "overlays/trial", "overlays/keda"])
def test_the_secrets_that_pods_mount_are_those_that_are_made(tree: str, tmp_path: Path) -> None:
    made = secrets()
    for pod in pods(kustomize(tree)):
        for volume in pod.spec["volumes"]:
            mounted = [source["secret"] for source in volume.get("projected", {}).get("sources", [])]
            if "secret" in volume:
                mounted.append({"name": volume["secret"]["secretName"], "items": volume["secret"]["items"]})
            for secret in mounted:
                assert {item["key"] for item in secret["items"]} <= made[secret["name"]].keys()
