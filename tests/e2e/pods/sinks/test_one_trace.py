"""From a webhook over a tool of the team's to its database and its service: all of it is there, in one trace."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.conftest import NewInstallation
from e2e.support import database, service
from e2e.support.cluster import Cluster
from e2e.support.installation import Installation, new_namespace, until
from eventroute.schemes import SCHEMES, Request, Verified, generate_secret, parse_key, verify

SCHEME = SCHEMES["standard-webhooks"]
SIGNING = generate_secret(SCHEME)
INPUT = {
    "type": "object",
    "properties": {"component": {"type": "string"}},
    "required": ["component"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def team(cluster: Cluster) -> Iterator[Installation]:
    """A namespace with a service and a database."""
    if cluster.kind != "host":
        pytest.skip("the image of PostgreSQL is made for CLUSTER=host")
    found = Installation(cluster, new_namespace("team"))
    found.create_namespace()
    found.apply(*service.service(), *database.database())
    found.kubectl("wait", "--for=condition=Ready", "pod/service", "pod/postgres", "--timeout=60s")
    database.prepare(found)
    yield found
    cluster.kubectl("delete", "namespace", found.namespace, "--wait=false")
    found.close()


@pytest.fixture(scope="module")
def installation(new_installation: NewInstallation, team: Installation) -> Iterator[Installation]:
    """An installation that may reach both."""
    ports, hosts = [443, service.PORT, database.PORT], [service.host(team), database.host(team)]
    with new_installation({"outbound": {"ports": ports, "privateHosts": hosts}}) as found:
        secrets = {"signing": SIGNING.configured.decode(), "url": database.url(team)}
        found.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "team"}, "stringData": secrets})
        yield found


def test_a_webhook_a_tool_a_row_and_a_signed_request_are_one_trace(
    installation: Installation, team: Installation
) -> None:
    place = f"http://{service.host(team)}:{service.PORT}"
    look_up = {
        "name": "component",
        "description": "Tells the state of a component.",
        "input": INPUT,
        "http": {"url": f"{place}/components/{{{{ component }}}}"},
    }
    installation.add_route(
        "reported",
        "github",
        prompts=[{"tools": [look_up]}],
        sinks=[
            {"stream": {"name": "answers"}},
            {"postgres": {"urlRef": {"name": "team", "key": "url"}, "table": "eventroute_answers"}},
            {"http": {"url": f"{place}/answers", "secretRefs": [{"name": "team", "key": "signing"}]}},
        ],
    )
    installation.fault(kind="tool_use", tool="component", input={"component": "checkout"})
    entry = installation.answer(installation.send("reported", "github").json()["delivery"])

    (row,) = until(lambda: database.rows(team) or None, "a row")
    same = ("delivery", "text", "model", "trace_id", "marker")
    assert {name: row[name] for name in same} == {name: entry[name] for name in same}
    assert row["idempotency_key"] == f"{entry['delivery']}:postgres"

    called, message = until(lambda: found if len(found := service.asked(team)) > 1 else None, "a call and a message")
    assert (called["method"], called["path"]) == ("GET", "/components/checkout")
    assert _headers(called)["idempotency-key"].startswith(f"{entry['delivery']}:toolu_")
    assert isinstance(verify(SCHEME, _request(message), [parse_key(SCHEME, SIGNING.configured)], None), Verified)
    told = json.loads(message["body"])["data"]
    assert {name: told[name] for name in same} == {name: entry[name] for name in same}

    expected = Counter(
        {
            ("POST /hooks/{namespace}/{name}", None): 1,
            ("send eventroute", "POST /hooks/{namespace}/{name}"): 1,
            ("process eventroute", "send eventroute"): 1,
            (f"chat {entry['model']}", "process eventroute"): 2,
            ("execute_tool component", "process eventroute"): 1,
            ("sink stream", "process eventroute"): 1,
            ("sink postgres", "send eventroute"): 1,
            ("sink http", "send eventroute"): 1,
        }
    )
    until(lambda: _tree(installation, entry["trace_id"]) == expected, f"the trace {entry['trace_id']}")


def _tree(installation: Installation, trace_id: str) -> Counter[tuple[str, str | None]]:
    """Count the spans of a trace by their names and their parents'."""
    spans = installation.spans(trace_id)
    names = {span["spanID"]: span["operationName"] for span in spans}
    parents = {
        span["spanID"]: next(
            (names.get(ref["spanID"]) for ref in span["references"] if ref["refType"] == "CHILD_OF"), None
        )
        for span in spans
    }
    return Counter((names[each], parents[each]) for each in names)


def _headers(request: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in request["headers"]}


def _request(message: dict[str, Any]) -> Request:
    headers = [(name.encode(), value.encode()) for name, value in _headers(message).items()]
    return Request(method="POST", url=None, headers=headers, body=message["body"].encode())
