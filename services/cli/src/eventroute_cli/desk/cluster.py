"""The Redis of an installation in a cluster, through `kubectl` as the user has set it up.

Asked are the objects that the chart makes, by their labels; a port-forward leads to the Valkey's Service for as long as
the command runs, and the Redis user is `desk`, whose password stands in the installation's Secret.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from eventroute.errors import GaveUp, Refused
from eventroute_cli.local.processes import Processes

DEFAULT_NAMESPACE: Final = "eventroute"

_SELECTOR: Final = "app.kubernetes.io/name=eventroute,app.kubernetes.io/component=valkey"
_INSTANCE: Final = "app.kubernetes.io/instance"
_KEY: Final = "desk-url"
_ASKING_S: Final = 30.0
_FORWARDED_S: Final = 20.0
_FORWARDING: Final = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+)", re.MULTILINE)


class Cluster(NamedTuple):
    """Which installation is meant; what is empty is as `kubectl` is set up, or the only one there is."""

    context: str = ""
    namespace: str = ""
    release: str = ""


@contextlib.contextmanager
def forwarded(cluster: Cluster) -> Iterator[str]:
    """Give the URL of the installation's Redis while the block runs; raises `Refused` with what is to be mended."""
    program = shutil.which("kubectl")
    if program is None:
        raise Refused("kubectl is not on PATH: install it, or name the Redis with --redis-url")
    namespace = cluster.namespace or DEFAULT_NAMESPACE
    command = [program, *([f"--context={cluster.context}"] if cluster.context else []), f"--namespace={namespace}"]
    service, secret = _find(command, cluster, namespace)
    url = _desk_url(command, namespace, secret)
    with (
        tempfile.TemporaryDirectory(prefix="eventroute-") as folder,
        Processes(Path(folder)) as processes,
    ):
        port = _forward(command, service, processes)
        login, _, _ = urlsplit(url).netloc.rpartition("@")
        yield urlunsplit(urlsplit(url)._replace(netloc=f"{login}@127.0.0.1:{port}"))


def _find(command: Sequence[str], cluster: Cluster, namespace: str) -> tuple[str, str]:
    """Find the Valkey's Service, and the Secret with its users."""
    selector = _SELECTOR + (f",{_INSTANCE}={cluster.release}" if cluster.release else "")
    found = _get(command, "service,statefulset", f"--selector={selector}")["items"]
    releases = sorted({item["metadata"]["labels"].get(_INSTANCE, "") for item in found})
    of_release = f" of release {cluster.release}" if cluster.release else ""
    if not found:
        raise Refused(
            f"namespace {namespace}: no Valkey of an EventRoute installation{of_release}; name another namespace with "
            "-n, or, where the installation has a Redis of its own, that one with --redis-url"
        )
    if len(releases) > 1:
        raise Refused(f"namespace {namespace}: there are {', '.join(releases)}; say which with --release")
    by_kind = {item["kind"]: item for item in found}
    try:
        service = by_kind["Service"]["metadata"]["name"]
        volumes = by_kind["StatefulSet"]["spec"]["template"]["spec"]["volumes"]
        (secret,) = [volume["secret"]["secretName"] for volume in volumes if volume["name"] == "acl"]
    except (KeyError, ValueError) as error:
        raise Refused(f"namespace {namespace}: the Valkey is not as the chart makes it; use --redis-url") from error
    return service, secret


def _desk_url(command: Sequence[str], namespace: str, secret: str) -> str:
    data = _get(command, "secret", secret).get("data") or {}
    if _KEY not in data:
        raise Refused(
            f"Secret {namespace}/{secret} has no key {_KEY}: the installation is older than this command, or its "
            "Secret is of your own making; upgrade the chart, or make the user anew (charts/eventroute/README.md)"
        )
    return base64.b64decode(data[_KEY]).decode()


def _get(command: Sequence[str], *arguments: str) -> Any:
    said = f"kubectl get {' '.join(arguments)}"
    try:
        ended = subprocess.run(  # noqa: S603 - the user's own kubectl, no shell
            [*command, "get", *arguments, "--output=json"],
            capture_output=True,
            text=True,
            timeout=_ASKING_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise Refused(f"{said}: no answer within {_ASKING_S:g} s; is the cluster up?") from error
    if ended.returncode:
        raise Refused(f"{said}: {ended.stderr.strip() or f'ended with code {ended.returncode}'}")
    try:
        return json.loads(ended.stdout)
    except ValueError as error:
        raise Refused(f"{said}: what it says is no JSON") from error


def _forward(command: Sequence[str], service: str, processes: Processes) -> int:
    """Start the port-forward, on a free port that kubectl chooses."""
    name = "kubectl port-forward"
    arguments = [*command, "port-forward", "--address=127.0.0.1", f"service/{service}", ":6379"]
    processes.start(name, arguments, os.environ)
    log = processes.log(name)

    def port() -> str:
        found = _FORWARDING.search(log.read_text(encoding="utf-8", errors="replace"))
        return found[1] if found else ""

    try:
        processes.wait_until(name, lambda: bool(port()), timeout_s=_FORWARDED_S)
    except GaveUp as error:
        raise Refused(str(error)) from error
    return int(port())
