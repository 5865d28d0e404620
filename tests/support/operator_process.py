"""An operator as it runs in production: a process of its own that may do what its README says, and nothing else."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import yaml

from eventroute_cli.local.processes import Processes, free_port
from eventroute_operator.settings import OperatorSettings
from support.api_server import ApiServer

README = Path(__file__).parents[2] / "operator/README.md"
NAMESPACE = "eventroute-system"

_ROW = re.compile(r"^\| (core|`[^`]+`) \| `([^`]+)` \| ([a-z, ]+) \|", re.MULTILINE)
_START_S = 25.0


def documented_rules(text: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read the README's tables: the rules in each watched namespace, and those in the operator's own."""
    watched, own = text.split("In each watched namespace")[1].split("In its own namespace")
    return _rules(watched), _rules(own)


def _rules(text: str) -> list[dict[str, Any]]:
    return [
        {
            "apiGroups": ["" if group == "core" else group.strip("`")],
            "resources": [resource],
            "verbs": [verb.strip() for verb in verbs.split(",")],
        }
        for group, resource, verbs in _ROW.findall(text)
    ]


def grant_documented(api: ApiServer, folder: Path, *, name: str = "operator") -> Path:
    """Make a service account with exactly the documented permissions; returns its kubeconfig."""
    watched, own = documented_rules(README.read_text(encoding="utf-8"))
    subject = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    group = "rbac.authorization.k8s.io"
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": watched},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "rules": own,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [subject],
        },
    ]
    api.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    token = api.kubectl("create", "token", name, "-n", NAMESPACE, "--duration=2h").strip()
    config = yaml.safe_load(api.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": token}
    path = folder / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


class OperatorProcess:
    """One operator at one address, over its lives."""

    def __init__(self, folder: Path, kubeconfig: Path, settings: Mapping[str, object]) -> None:
        self._processes = Processes(folder)
        self.port = free_port()
        fields = {"probe_port": self.port, "pod_namespace": NAMESPACE, **settings}
        own = {OperatorSettings.variable(name): str(value) for name, value in fields.items()}
        self._environ = {**os.environ, "KUBECONFIG": str(kubeconfig), **own}
        self._process: Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process's id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it without waiting for it."""
        command = [sys.executable, "-m", "eventroute_operator"]
        self._process = self._processes.start("operator", command, self._environ)

    async def until_ready(self) -> None:
        """Wait until it has seen everything."""
        await asyncio.to_thread(self._processes.wait_ready, "operator", self.port, timeout_s=_START_S)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """Ask it to stop, as the kubelet does; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(15)

    def close(self) -> None:
        """End it, whatever state it is in."""
        self._processes.stop()

    def log(self) -> str:
        """Read what all its lives have said so far."""
        return self._processes.log("operator").read_text(encoding="utf-8")

    async def metric(self, name: str) -> float:
        """Add up one metric's samples."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{self.port}/metrics")).text
        lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@contextlib.contextmanager
def operator_process(folder: Path, kubeconfig: Path, **settings: object) -> Iterator[OperatorProcess]:
    """Run an operator while the block runs; `settings` are `OperatorSettings` fields."""
    operator = OperatorProcess(folder, kubeconfig, settings)
    operator.start()
    try:
        yield operator
    finally:
        operator.close()
