"""An answer goes to a team's service in the cluster, however often it is away; to where the owner lets it go, only."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.conftest import NewInstallation
from e2e.support.cluster import Cluster
from e2e.support.connections import idle_pod, reached
from e2e.support.installation import Installation, new_namespace, until
from eventroute.schemes import SCHEMES, Request, Verified, generate_secret, parse_key, verify

PORT = 8080
AWAY = 2
"""So many messages are answered 503 before the first is taken."""

SERVICE = f"""
import http.server, json

class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Handler.asked += 1
        status = 503 if Handler.asked <= {AWAY} else 204
        told = {{"status": status, "headers": list(self.headers.items()), "body": body.decode()}}
        print(json.dumps(told), flush=True)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", {PORT}), Handler).serve_forever()
"""
SCHEME = SCHEMES["standard-webhooks"]
SIGNING = generate_secret(SCHEME)
KEY = parse_key(SCHEME, SIGNING.configured)


def service() -> list[dict[str, Any]]:
    """Describe a pod that tells on its output what it is sent, and its Service."""
    pod = idle_pod("service")
    (container,) = pod["spec"]["containers"]
    ready = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    pod["metadata"]["labels"] = {"app": "service"}
    pod["spec"]["containers"] = [{**container, "command": ["python", "-c", SERVICE], "readinessProbe": ready}]
    spec = {"selector": {"app": "service"}, "ports": [{"port": PORT}]}
    return [pod, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "service"}, "spec": spec}]


@pytest.fixture(scope="module")
def team(cluster: Cluster) -> Iterator[Installation]:
    """A namespace with a service that answers may go to."""
    with _namespace(cluster, "service") as found:
        yield found


@pytest.fixture(scope="module")
def other(cluster: Cluster) -> Iterator[Installation]:
    """A namespace with a service that they may not go to."""
    with _namespace(cluster, "other") as found:
        yield found


@pytest.fixture(scope="module")
def installation(new_installation: NewInstallation, team: Installation) -> Iterator[Installation]:
    """An installation whose sinks may reach the team's service."""
    values = {"outbound": {"ports": [443, PORT], "privateHosts": [host(team)]}}
    with new_installation(values) as found:
        signing = {"secret": SIGNING.configured.decode()}
        found.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "signing"}, "stringData": signing})
        yield found


def test_an_answer_is_sent_signed_until_the_service_takes_it_and_all_of_it_is_one_trace(
    installation: Installation, team: Installation
) -> None:
    sink = {"http": {"url": url(team), "secretRefs": [{"name": "signing", "key": "secret"}]}}
    installation.add_route("reported", "github", sinks=[{"stream": {"name": "answers"}}, sink])
    entry = installation.answer(installation.send("reported", "github").json()["delivery"])
    messages = until(lambda: _taken(team), "a message that the service has taken", 60)
    assert [message["status"] for message in messages] == [503] * AWAY + [204]
    assert len({dict(message["headers"])["idempotency-key"] for message in messages}) == 1
    last = messages[-1]
    told = json.loads(last["body"])["data"]
    assert {name: told[name] for name in ("delivery", "text", "model")} == {
        name: entry[name] for name in ("delivery", "text", "model")
    }
    assert isinstance(verify(SCHEME, _request(last), [KEY], None), Verified)

    def attempts() -> list[dict[str, Any]] | None:
        spans = [span for span in installation.spans(entry["trace_id"]) if span["operationName"] == "sink http"]
        return spans if len(spans) == AWAY + 1 else None

    spans = until(attempts, f"each attempt as a span of the trace {entry['trace_id']}")
    assert {span["service"] for span in spans} == {"eventroute-worker"}


def test_rules_and_network_agree_on_where_answers_may_go(
    cluster: Cluster, installation: Installation, team: Installation, other: Installation
) -> None:
    (worker, *_) = installation.pods("worker")
    targets = {"team": (host(team), PORT), "other": (host(other), PORT)}
    assert reached(cluster, installation.namespace, worker, targets) == {"team"}
    installation.apply(*installation.manifests("elsewhere", "github", sinks=[{"http": {"url": url(other)}}]))
    until(
        lambda: installation.condition("elsewhere", "Ready") == ("False", "SinkOutOfReach"), "a route that is refused"
    )


def host(namespace: Installation) -> str:
    """Name the service of a namespace."""
    return f"service.{namespace.namespace}.svc.cluster.local"


def url(namespace: Installation) -> str:
    """Say where it takes answers."""
    return f"http://{host(namespace)}:{PORT}/answers"


@contextlib.contextmanager
def _namespace(cluster: Cluster, word: str) -> Iterator[Installation]:
    found = Installation(cluster, new_namespace(word))
    found.create_namespace()
    found.apply(*service())
    found.kubectl("wait", "--for=condition=Ready", "pod/service", "--timeout=60s")
    yield found
    cluster.kubectl("delete", "namespace", found.namespace, "--wait=false")
    found.close()


def _taken(team: Installation) -> list[dict[str, Any]] | None:
    told = [json.loads(line) for line in team.kubectl("logs", "service").splitlines()]
    return told if any(message["status"] != 503 for message in told) else None


def _request(message: dict[str, Any]) -> Request:
    headers = [(name.lower().encode(), value.encode()) for name, value in message["headers"]]
    return Request(method="POST", url=None, headers=headers, body=message["body"].encode())
