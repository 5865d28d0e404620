"""A Kubernetes API server of one test run: etcd and kube-apiserver as processes, with nothing behind them."""

import base64
import contextlib
import os
import random
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

BIN: Final = Path(os.environ.get("KUBE_BIN", Path.home() / ".cache/eventroute-e2e/bin"))
PROGRAMS: Final = ("etcd", "kube-apiserver", "kubectl")
SCRIPT: Final = Path(__file__).parents[1] / "e2e/cluster/apiserver.sh"
_ATTEMPTS: Final = 20
_PAUSE_S: Final = 0.2


def is_built() -> bool:
    """Tell whether the programs are there."""
    return all(os.access(BIN / name, os.X_OK) for name in PROGRAMS)


class NotBuiltError(Exception):
    """The programs are not there; the message says how to get them."""


@dataclass(frozen=True)
class ApiServer:
    """One server, over its restarts, as its administrator sees it."""

    state: Path
    port: int

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "admin.kubeconfig"

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl; returns what it printed, and fails with what it complained about."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def try_kubectl(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run kubectl, which may fail."""
        command = [str(BIN / "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def define(self, definition: Path) -> None:
        """Define a kind, and wait until objects of it are served."""
        # Others' definitions are too long for the annotation that a plain apply writes.
        self.kubectl("apply", "--server-side", "-f", str(definition))
        # `kubectl wait` gives up at once on a definition that has no status yet.
        for _ in range(_ATTEMPTS):
            command = ("wait", "--for=condition=Established", "--timeout=20s", "-f", str(definition))
            if self.try_kubectl(*command).returncode == 0:
                return
            time.sleep(_PAUSE_S)
        raise AssertionError(f"{definition.name} is not established")

    def client(self) -> httpx.Client:
        """Open a connection for many small requests, a kubectl each being too slow for them."""
        config: dict[str, Any] = yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        pair = self.state / "admin.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
        context.load_cert_chain(pair)
        return httpx.Client(base_url=cluster["server"], verify=context, trust_env=False)

    def stop(self, program: str = "kube-apiserver") -> None:
        """End one of the two programs as a crash does; `start` brings it back with all its data."""
        pid = self.state / "run" / f"{program}.pid"
        os.kill(int(pid.read_text(encoding="utf-8")), 9)

    def start(self) -> None:
        """Start whatever does not run; returns when the API answers."""
        self._script("up")

    def remove(self) -> None:
        """End both, and forget all data."""
        self._script("down")

    def _script(self, verb: str) -> None:
        settings = {"KUBE_BIN": str(BIN), "KUBE_STATE": str(self.state), "KUBE_PORT": str(self.port)}
        environment = {**os.environ, **settings, "KUBE_IP": "127.0.0.1"}
        done = subprocess.run(
            [str(SCRIPT), verb],
            env=environment,
            stdout=subprocess.DEVNULL,  # a pipe would stay open in the programs that it starts
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")


@contextlib.contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run a server of one's own, at ports that nobody uses.

    raises  NotBuiltError
    """
    missing = [name for name in PROGRAMS if not os.access(BIN / name, os.X_OK)]
    if missing:
        raise NotBuiltError(f"{BIN} lacks {', '.join(missing)}: run {SCRIPT.parent / 'build.sh'}")
    server = ApiServer(folder, _free_ports())
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _free_ports() -> int:
    """Find the first of three neighbouring ports, below those that the kernel gives to outgoing connections."""
    for first in random.sample(range(20_000, 32_000, 3), _ATTEMPTS):
        if all(map(_is_free, range(first, first + 3))):
            return first
    raise OSError("no three neighbouring ports are free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
