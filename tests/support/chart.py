"""What Helm renders of the chart, as objects to ask questions about."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from support.api_server import BIN

CHART: Final = Path(__file__).parents[2] / "charts/eventroute"
HELM: Final = BIN / "helm"
NAMESPACE: Final = "er"

Object = dict[str, Any]

INSTALLATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "as it comes": {},
    "a trial": {
        "simulator": {"enabled": True, "args": ["--latency=0"]},
        "jaeger": {"enabled": True},
        "valkey": {"persistence": {"enabled": False}},
    },
    "everything": {
        "fullnameOverride": "hooks",
        "image": {"registry": "registry.example.com/team", "tag": "1.2.3", "pullSecrets": ["registry"]},
        "pods": {
            "annotations": {"team": "platform"},
            "labels": {"team": "platform"},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "system-cluster-critical",
        },
        "receiver": {"extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]},
        "worker": {"anthropic": {"apiKey": "sk-ant-of-a-trial"}},
        "modelsConfigMap": "models",
        "operator": {
            "hooksURL": "https://hooks.example.com/hooks",
            "policy": {
                "allowedHosts": ["*.example.com"],
                "namespaces": {"shop": {"allowedHosts": ["hooks.slack.com"]}},
            },
        },
        "outbound": {
            "ports": [443, 5432],
            "privateHosts": ["pg.db.svc", "*.team-a.svc.cluster.local", "redis"],
            "privateCIDRs": ["10.2.0.0/16", "fd12:3456::/32"],
            "deniedCIDRs": ["8.8.8.0/24", "2606:4700::/32"],
            "proxy": "http://proxy.example.com:3128",
        },
        "autoscaling": {"mode": "keda", "worker": {"min": 0}},
        "simulator": {"enabled": True},
        "jaeger": {"enabled": True},
        "ingress": {"enabled": True, "host": "hooks.example.com", "tlsSecret": "tls", "className": "public"},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["hooks.example.com"]},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "networkPolicies": {"hooksFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
        "tests": {"callClaude": True},
    },
    "one's own Redis": {
        "valkey": {"enabled": False},
        "redis": {"urlSecret": {"name": "redis"}, "caSecret": {"name": "redis-ca"}},
        "tableKeys": {"existingSecret": "keys"},
        "worker": {"anthropic": {"existingSecret": "claude", "key": "key"}},
        "operator": {"namespaces": ["shop", "billing"], "secretLabels": {"eventroute.dev/read": "yes"}},
        "autoscaling": {"mode": "hpa"},
        "tracing": {"endpoint": "https://collector.observability", "ratio": 0.1},
    },
    "little": {
        "networkPolicies": {"enabled": False},
        "crds": {"enabled": False},
        "tests": {"enabled": False},
        "valkey": {"existingSecret": "valkey"},
        "receiver": {"drainSeconds": 0},
    },
}
"""Settings that between them use every template and every branch."""


class RefusedError(Exception):
    """Helm does not take the values; the message is its own."""


@dataclass(frozen=True)
class Pod:
    """A pod's template, with the workload that it comes from."""

    owner: Object
    metadata: Object
    spec: Object

    @property
    def component(self) -> str:
        """What it is: receiver, worker, …"""
        name: str = self.metadata["labels"]["app.kubernetes.io/component"]
        return name

    @property
    def containers(self) -> list[Object]:
        """All of them, those that run first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def render(values: Mapping[str, Any], *, release: str = "ev") -> list[Object]:
    """Render the chart; raises `RefusedError`."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(dict(values), file)
        file.flush()
        done = helm("template", release, str(CHART), "--namespace", NAMESPACE, "--values", file.name)
    if done.returncode:
        raise RefusedError(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Helm, which may fail."""
    return subprocess.run([str(HELM), *arguments], capture_output=True, text=True, check=False, timeout=60)


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    """Pick the objects of one kind."""
    return [item for item in objects if item["kind"] == kind]


def named(objects: Sequence[Object], kind: str, name: str) -> Object:
    """Find the one object of that kind and name."""
    (found,) = (item for item in of_kind(objects, kind) if item["metadata"]["name"] == name)
    return found


def pods(objects: Sequence[Object]) -> Iterator[Pod]:
    """List every pod that would be: of workloads, and by itself."""
    for item in objects:
        if item["kind"] in {"Deployment", "StatefulSet"}:
            template = item["spec"]["template"]
            yield Pod(item, template["metadata"], template["spec"])
        elif item["kind"] == "Pod":
            yield Pod(item, item["metadata"], item["spec"])


def environment(container: Object) -> dict[str, Object]:
    """List a container's variables by name."""
    return {entry["name"]: entry for entry in container.get("env", [])}
