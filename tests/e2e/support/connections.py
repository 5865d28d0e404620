"""Who reaches whom: connections tried from inside a pod, by the Python that every image of the project has."""

import json
from collections.abc import Mapping
from typing import Any, Final

from e2e.support.cluster import Cluster
from e2e.support.images import program_image

Targets = Mapping[str, tuple[str, int]]
"""What a target is called, its host, and its port."""

_TRY: Final = """
import concurrent.futures, json, socket, sys
def is_open(target):
    try:
        with socket.create_connection(target, timeout=2):
            return True
    except OSError:
        return False
targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor() as pool:
    print(json.dumps(dict(zip(targets, pool.map(is_open, targets.values())))))
"""  # a packet that a policy drops is answered by nobody, so 2 s of silence are a no


def reached(cluster: Cluster, namespace: str, pod: str, targets: Targets) -> set[str]:
    """Connect from a pod to all targets at the same time; returns the names of those that could be reached."""
    asked = ("exec", pod, "--namespace", namespace, "--", "python", "-c", _TRY, json.dumps(targets))
    found: dict[str, bool] = json.loads(cluster.kubectl(*asked))
    return {name for name, is_open in found.items() if is_open}


def idle_pod(name: str) -> dict[str, Any]:
    """Describe a pod that belongs to nobody and waits to be asked; it is restricted, so any namespace takes it."""
    container = {
        "name": name,
        "image": program_image("cli"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"securityContext": security, "terminationGracePeriodSeconds": 1, "containers": [container]},
    }
