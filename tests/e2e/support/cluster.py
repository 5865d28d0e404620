"""A cluster that tests may use: one made on this machine, kind's, or the one that KUBECONFIG names.

What differs between them is how images get in, how a Service is reached from here, and who takes the cluster away.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from e2e.support.images import JAEGER, PROGRAMS, VALKEY, VERSION, Store, equipment, program_image
from e2e.support.prepare import BIN, SCRIPTS, prepare
from e2e.support.sharing import Shared
from e2e.support.shell import CACHE, ROOT, Failed, Unusable, require, run, say, stream

CHOSEN_CONTEXT: Final = "EVENTROUTE_E2E_CONTEXT"
"""Environment variable: a context that may be used although its name does not look like a test cluster's."""

_STATE: Final = Path(os.environ.get("KUBE_STATE", "/var/lib/eventroute-e2e"))
_TEST_CONTEXTS: Final = re.compile(r"kind-.*|k3d-.*|minikube|docker-desktop|rancher-desktop|eventroute-.*")
_KIND: Final = "eventroute-e2e"
_HOST_VALUES: Final = {
    "valkey": {"image": VALKEY, "persistence": {"enabled": False}},
    "jaeger": {"image": JAEGER},
    "networkPolicies": {"apiServerTo": [{"ipBlock": {"cidr": "10.254.0.1/32"}}]},
}
_INSTALL_S: Final = 600.0
_FORWARD_S: Final = 10.0

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up and knows our images."""

    kind: Literal["host", "kind", "current"]
    kubeconfig: Path
    context: str
    chart_values: Values = field(default_factory=dict)
    """What a chart needs to be told here: images, and where the API server is."""

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> str:
        """Run kubectl; raises `Failed` with what it complained about."""
        at = ("--kubeconfig", str(self.kubeconfig), "--context", self.context)
        return run(_program("kubectl"), *at, *arguments, stdin=stdin, timeout_s=timeout_s)

    def helm(self, *arguments: str, stdin: str = "", timeout_s: float = 300.0) -> str:
        """Run helm; raises `Failed` with what it complained about."""
        at = ("--kubeconfig", str(self.kubeconfig), "--kube-context", self.context)
        return run(_program("helm"), *at, *arguments, stdin=stdin, timeout_s=timeout_s)

    def get(self, *arguments: str) -> Any:
        """Ask for objects and decode them."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    @contextlib.contextmanager
    def address(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Reach a Service from here while the block runs; returns `host:port`.

        On the cluster of this machine that is the Service itself, with all its pods; elsewhere a port-forward, which
        sticks to one pod and ends with it.
        """
        if self.kind == "host":
            yield f"{self.get('service', service, '--namespace', namespace)['spec']['clusterIP']}:{port}"
            return
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            local = free.getsockname()[1]
        at = ("--kubeconfig", str(self.kubeconfig), "--context", self.context, "--namespace", namespace)
        command = [_program("kubectl"), *at, "port-forward", f"service/{service}", f"{local}:{port}"]
        forward = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _until_open(local)
            yield f"127.0.0.1:{local}"
        finally:
            forward.terminate()
            forward.wait()


@contextlib.contextmanager
def cluster(kind: str, *, keep: bool) -> Iterator[Cluster]:
    """Bring a cluster up, or take the one at hand; raises `Unusable`.

    keep  leave it as it is afterwards, for a look and for the next run, which then begins sooner
    """
    match kind:
        case "host":
            with _host(keep=keep) as found:
                yield found
        case "kind":
            yield _kind()
        case "current":
            yield _current()
        case _:
            raise Unusable(f"CLUSTER={kind}: say host, kind or current")


def context_problem(name: str, chosen: str = "") -> str | None:
    """Say why a context is not used: tests install, kill and delete, which nobody wants elsewhere."""
    if (name and name == chosen) or _TEST_CONTEXTS.fullmatch(name):
        return None
    return f"the context {name!r} does not look like a test cluster's; if it is one, set {CHOSEN_CONTEXT}={name}"


@contextlib.contextmanager
def _host(*, keep: bool) -> Iterator[Cluster]:
    prepare()
    environ = {"KUBE_BIN": str(BIN), "KUBE_STATE": str(_STATE)}
    with Shared(CACHE / "cluster.lock") as shared:
        try:
            with shared.alone():
                say("starting the cluster")
                stream(SCRIPTS / "cluster.sh", "up", timeout_s=180, environ=environ)
                _load_images(environ)
            yield Cluster("host", _STATE / "admin.kubeconfig", "eventroute-e2e", _HOST_VALUES)
        finally:
            with shared.alone():
                if keep or shared.is_used_by_others():
                    say(f"left up: {_STATE}/admin.kubeconfig; {SCRIPTS.relative_to(ROOT)}/cluster.sh down ends it")
                else:
                    say("taking the cluster away")
                    stream(SCRIPTS / "cluster.sh", "down", timeout_s=120, environ=environ)


def _load_images(environ: Mapping[str, str]) -> None:
    store = Store()
    images = {}
    for package in PROGRAMS:
        say(f"building the image of the {package}")
        images[program_image(package)] = store.program(package)
    images |= {binary.image: store.binary(binary) for binary in equipment(BIN)}
    say("loading the images")
    layout = store.export(images)
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "images.tar")
        run("tar", "-C", layout, "-cf", archive, ".")
        run(SCRIPTS / "cluster.sh", "load", archive, environ=environ)


def _kind() -> Cluster:
    require({"kind": "kind", "docker": "docker"}, "install")
    _require_clients()
    if _KIND not in run("kind", "get", "clusters").split():
        say("making a kind cluster")
        stream("kind", "create", "cluster", "--name", _KIND, "--wait", "120s", timeout_s=_INSTALL_S)
    for package in PROGRAMS:
        say(f"building the image of the {package}")
        image = f"eventroute/{package}:{VERSION}"
        dockerfile = ("--file", "services/Dockerfile", "--build-arg", f"PACKAGE={package}")
        run("docker", "build", "--quiet", *dockerfile, "--tag", image, ".", timeout_s=_INSTALL_S)
        run("kind", "load", "docker-image", image, "--name", _KIND)
    return Cluster("kind", _kubeconfig(), f"kind-{_KIND}")


def _current() -> Cluster:
    _require_clients()
    kubeconfig = _kubeconfig()
    if not kubeconfig.exists():
        raise Unusable(f"CLUSTER=current: there is no {kubeconfig}; set KUBECONFIG")
    context = str(yaml.safe_load(kubeconfig.read_text(encoding="utf-8")).get("current-context", ""))
    if problem := context_problem(context, os.environ.get(CHOSEN_CONTEXT, "")):
        raise Unusable(problem)
    values = os.environ.get("EVENTROUTE_E2E_VALUES")  # a registry to pull from, say
    return Cluster("current", kubeconfig, context, yaml.safe_load(Path(values).read_text()) if values else {})


def _kubeconfig() -> Path:
    return Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")


def _require_clients() -> None:
    for name in ("kubectl", "helm"):
        _program(name)


def _program(name: str) -> str:
    built = BIN / name
    found = str(built) if built.exists() else shutil.which(name)
    if not found:
        raise Unusable(f"{name} is neither in {BIN} nor on PATH")
    return found


def _until_open(port: int) -> None:
    deadline = time.monotonic() + _FORWARD_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise Failed(f"port-forward: nothing listens at {port}")
        time.sleep(0.1)
