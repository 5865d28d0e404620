"""The programs' images: what is in them, what is not, and that they run as strictly as Kubernetes can ask for."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.support.cluster import Cluster
from e2e.support.images import PROGRAMS, VERSION, Store
from e2e.support.installation import Installation, new_namespace

MAX_MB = 250
MEMBERS = {
    "receiver": {"eventroute", "eventroute_receiver"},
    "worker": {"eventroute", "eventroute_worker"},
    "operator": {"eventroute", "eventroute_operator"},
    "cli": {"eventroute", "eventroute_receiver", "eventroute_worker", "eventroute_cli"},
}
LOOK = """
import importlib.metadata, json, os, pathlib
home, compiled = pathlib.Path("/app"), "{0.parent}/__pycache__/{0.stem}.cpython-311.pyc"
build = ["/src", "/wheels", "/root/.cache", "/usr/local/bin/uv"]
print(json.dumps({
    "members": [path.name for path in home.glob("eventroute*") if path.name.isidentifier()],
    "distributions": [found.name for found in importlib.metadata.distributions()],
    "not compiled": [str(path) for path in home.rglob("*.py") if not os.path.exists(compiled.format(path))],
    "left over": [path for path in build if os.path.exists(path)],
    "writable": [path for path in ["/", "/app", "/venv", "/venv/lib"] if os.access(path, os.W_OK)],
    "uid": os.getuid(),
}))
"""


@pytest.fixture(scope="module")
def store(cluster: Cluster) -> Store:
    """The store that the cluster's images were built in."""
    return Store()


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[Installation]:
    """A namespace for restricted pods, with nothing installed."""
    found = Installation(cluster, new_namespace("images"))
    found.create_namespace()
    yield found
    cluster.kubectl("delete", "namespace", found.namespace, "--wait=false")


def look(namespace: Installation, package: str) -> dict[str, Any]:
    """Run Python in the image, as restricted as a pod can be."""
    container = {
        "name": "look",
        "image": f"eventroute/{package}:{VERSION}",
        "command": ["python", "-c", LOOK],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "securityContext": security, "containers": [container]}
    namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"look-{package}"}, "spec": spec})
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/look-{package}", "--timeout=60s")
    found: dict[str, Any] = json.loads(namespace.kubectl("logs", f"look-{package}"))
    return found


@pytest.mark.parametrize("package", PROGRAMS)
def test_an_image_holds_its_program_compiled_and_nothing_to_build_it_with(
    namespace: Installation, package: str
) -> None:
    found = look(namespace, package)
    assert set(found["members"]) == MEMBERS[package]
    assert not {"pip", "uv", "uv-build", "setuptools", "pytest"} & set(found["distributions"])
    assert "eventroute-" + package in found["distributions"]
    assert "opentelemetry-exporter-otlp-proto-http" in found["distributions"]
    assert (found["not compiled"], found["left over"], found["writable"], found["uid"]) == ([], [], [], 65532)


@pytest.mark.parametrize("package", PROGRAMS)
def test_an_image_adds_little_to_its_base(store: Store, package: str, record_property: Any) -> None:
    size = store.size(store.program(package)) - store.size(store.base())
    record_property("MB over the base", size)
    assert size <= MAX_MB
