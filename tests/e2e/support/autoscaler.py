"""KEDA on the cluster of this machine: installed by its own manifests, and taken away again."""

from typing import Final, Literal

from e2e.support.cluster import Cluster
from e2e.support.prepare import BIN, SCRIPTS
from e2e.support.shell import run

_SCRIPT_S: Final = 180.0


def start_keda(cluster: Cluster) -> None:
    """Install KEDA; returns when it answers."""
    _script(cluster, "up")


def remove_keda(cluster: Cluster) -> None:
    """Take KEDA and its kinds away, unless they are gone already.

    ScaledObjects go first: their finalizer waits for KEDA, and would keep them, and so their kind, for ever.
    """
    if "scaledobjects" in cluster.kubectl("api-resources", "--api-group=keda.sh", "--output=name"):
        cluster.kubectl("delete", "scaledobjects.keda.sh", "--all", "--all-namespaces")
    _script(cluster, "down")


def _script(cluster: Cluster, verb: Literal["up", "down"]) -> None:
    environ = {"KUBE_BIN": str(BIN), "KUBECONFIG": str(cluster.kubeconfig)}
    run(SCRIPTS / "keda.sh", verb, timeout_s=_SCRIPT_S, environ=environ)
