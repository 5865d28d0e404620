"""`k8s/overlays/trial` for people without Helm, as `k8s/README.md` says, and the README's first route."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.support.cluster import Cluster
from e2e.support.images import JAEGER, VALKEY
from e2e.support.installation import Installation
from e2e.support.shell import ROOT, run
from e2e.support.traffic import PROVIDER

NAMESPACE = "eventroute"
PROGRAMS = ("operator", "receiver", "worker", "simulator", "jaeger")
QUICKSTART = ROOT / "k8s/quickstart.yaml"


def overlay(cluster: Cluster, folder: str) -> dict[str, object]:
    """Write an overlay of one's own: the images that this cluster has, and an operator that minds its namespace."""
    ours = {"valkey/valkey": VALKEY, "jaegertracing/jaeger": JAEGER} if cluster.kind == "host" else {}
    images = [
        {"name": name, "newName": image.split(":")[0], "newTag": image.split(":")[1]} for name, image in ours.items()
    ]
    environ = [{"name": "EVENTROUTE_OPERATOR_NAMESPACES", "value": NAMESPACE}]
    operator = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "eventroute-operator", "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"containers": [{"name": "operator", "env": environ}]}}},
    }
    return {
        "resources": [os.path.relpath(ROOT / "k8s/overlays/trial", folder)],
        "images": images,
        "patches": [{"patch": yaml.safe_dump(operator)}],
    }


@pytest.fixture(scope="module")
def applied(cluster: Cluster) -> Iterator[Installation]:
    """The trial overlay, applied."""
    found = Installation(cluster, NAMESPACE)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(overlay(cluster, folder)))
        cluster.kubectl("create", "namespace", NAMESPACE)
        try:
            found.kubectl("create", "--filename", "-", stdin=run(sys.executable, ROOT / "k8s/make_secrets.py"))
            cluster.kubectl("apply", "--filename", str(ROOT / "k8s/crd/eventroute.dev_eventroutes.yaml"))
            cluster.kubectl("apply", "--kustomize", folder)
            for program in PROGRAMS:
                found.rolled_out(program)
            yield found
        finally:
            cluster.kubectl("delete", "--kustomize", folder, "--ignore-not-found", "--wait=false")
            found.close()


def test_the_first_route_of_the_readme_answers(applied: Installation) -> None:
    applied.apply(QUICKSTART.read_text())
    applied.wait_ready("first")
    applied.signing["first"] = next(yaml.safe_load_all(QUICKSTART.read_text()))["stringData"]["secret"].encode()
    accepted = applied.send("first", PROVIDER, event="issues.opened")
    delivery = accepted.json()["delivery"]
    entry = applied.answer(delivery, stream="first")
    assert entry["outcome"] == "succeeded"
    assert json.dumps(entry["text"]) in applied.logs("worker")
    assert applied.send("first", PROVIDER, forge=True).status_code == 401
