"""Where Valkey's data outlives its pod, on clusters that make no volumes by themselves."""

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator

from e2e.support.cluster import Cluster, Values


@contextlib.contextmanager
def persistence(cluster: Cluster, *, keep: bool) -> Iterator[Values]:
    """Provide a volume while the block runs; returns the chart's values that use it.

    The cluster of this machine has nobody who makes volumes, so one is made by hand, in a storage class of its own that
    only one claim asks for.

    keep  leave it, for an installation that stays
    """
    if cluster.kind != "host":
        yield {"valkey": {"persistence": {"enabled": True, "size": "1Gi"}}}
        return
    name = f"er-{secrets.token_hex(3)}"
    folder = cluster.kubeconfig.parent / "volumes" / name
    folder.mkdir(parents=True)
    folder.chmod(0o777)  # whoever Valkey runs as
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": name,
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}
                    ]
                }
            },
        },
    }
    cluster.kubectl("apply", "--filename", "-", stdin=json.dumps(volume))
    try:
        yield {"valkey": {"persistence": {"enabled": True, "size": "1Gi", "storageClass": name}}}
    finally:
        if not keep:
            cluster.kubectl("delete", "persistentvolume", name, "--wait=false")
            shutil.rmtree(folder, ignore_errors=True)
