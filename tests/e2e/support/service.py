"""A service of a team's own, as a pod that tells on its output what it is asked."""

import json
from typing import Any

from e2e.support.connections import idle_pod
from e2e.support.installation import Installation

PORT = 8080

_PROGRAM = """
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        self.tell(200, "")
        self.answer(200, b'{"state": "degraded"}')

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Handler.asked += 1
        status = 503 if Handler.asked <= int(sys.argv[1]) else 204
        self.tell(status, body.decode())
        self.answer(status, b"")

    def tell(self, status, body):
        told = {"method": self.command, "path": self.path, "status": status, "headers": list(self.headers.items())}
        print(json.dumps({**told, "body": body}), flush=True)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", int(sys.argv[2])), Handler).serve_forever()
"""


def service(*, away: int = 0) -> list[dict[str, Any]]:
    """Describe the pod, and its Service.

    away  so many messages are answered 503 before the first is taken
    """
    pod = idle_pod("service")
    (container,) = pod["spec"]["containers"]
    ready = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    command = ["python", "-c", _PROGRAM, str(away), str(PORT)]
    pod["metadata"]["labels"] = {"app": "service"}
    pod["spec"]["containers"] = [{**container, "command": command, "readinessProbe": ready}]
    spec = {"selector": {"app": "service"}, "ports": [{"port": PORT}]}
    return [pod, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "service"}, "spec": spec}]


def host(namespace: Installation) -> str:
    """Name the service of a namespace."""
    return f"service.{namespace.namespace}.svc.cluster.local"


def asked(namespace: Installation) -> list[dict[str, Any]]:
    """List what it was asked, oldest first."""
    return [json.loads(line) for line in namespace.kubectl("logs", "service").splitlines()]
