"""Routes at every limit are taken: the cost of the rules stays within what the API server allows, and names fit."""

import json
from typing import Any

import pytest

from eventroute.crd.v1alpha1 import EventRoute
from eventroute.crd.validate import parse_route
from support.api_server import ApiServer

NAMESPACE = "n" * 63
NAME = "r" * 253
REF = {"name": "a" * 253, "key": "k" * 253}
SOURCE = "header:" + "x" * 249
QUERY = "query:" + "x" * 250
CEL = f'payload.a == "{"x" * 1009}"'
PROMPT = {
    "events": ["e" * 128] * 32,
    "when": CEL,
    "model": {"name": "m" * 128, "maxTokens": 64_000, "timeout": "9m59s1s"},
    "systemFrom": REF,
    "user": "u" * 32_768,
}
SPEC: dict[str, Any] = {
    "provider": "custom",
    "custom": {
        "signature": SOURCE,
        "signed": ["url", "timestamp", *[f"text:{'x' * 251}"] * 14],
        "timestamp": SOURCE,
        "event": [SOURCE] * 4,
        "ignoredEvents": ["e" * 128] * 16,
        "id": [SOURCE] * 4,
        "dedupTTL": "719h59m60s",
        "handshake": [
            {
                "method": "POST",
                "when": [*[{"source": SOURCE, "equals": "v" * 256}] * 7, {"source": QUERY, "verifyToken": True}],
                "body": "b" * 1024,
                "echo": "n=" + "header:" + "x" * 247,
                "proof": "n=" + "header:" + "x" * 247,
                "proofPrefix": "p" * 64,
            }
        ]
        * 4,
    },
    "secretRefs": [REF] * 4,
    "verifyTokenRef": REF,
    "allowUnauthenticated": True,
    "requireStrength": "verified",
    "tolerance": "23h59m60s",
    "publicURL": "https://" + "h" * 2040,
    "filter": CEL,
    "maxBodyBytes": 26_214_400,
    "rateLimit": {"perSecond": 10_000, "burst": 100_000},
    "model": {"name": "m" * 128, "maxTokens": 64_000, "timeout": "10m", "apiKeyRef": REF},
    "prompts": [PROMPT] * 32,
    "entity": CEL,
    "history": {"scope": "namespace", "keep": 1000, "inject": 100, "ttl": "8760h"},
    "retry": {"attempts": 20, "deadline": "168h"},
    "sinks": [
        {"name": "n" * 63, "log": {}},
        *({"name": f"{n}" * 63, "stream": {"name": "s" * 63, "maxEntries": 1_000_000}} for n in range(6)),
        {"name": "t" * 63, "slack": {"tokenRef": REF, "channel": "C" * 32}},
    ],
    "redact": {"headers": ["h" * 128] * 16, "payload": ["p" * 256] * 32},
    "retention": {"payload": "720h", "answer": "720h", "record": "8760h"},
}


def route(spec: dict[str, Any], name: str = NAME) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "eventroute.dev/v1alpha1", "kind": "EventRoute", "metadata": metadata, "spec": spec}


def stored_route(api: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(api.kubectl("get", "er", NAME, "-n", NAMESPACE, "-o", "json"))
    return found


@pytest.fixture(scope="module")
def api(api_server: ApiServer) -> ApiServer:
    api_server.kubectl("create", "namespace", NAMESPACE)
    return api_server


def test_a_spec_with_everything_at_its_limit_is_taken_and_stored(api: ApiServer) -> None:
    assert isinstance(parse_route(route(SPEC)), EventRoute)
    api.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(route(SPEC)))
    assert stored_route(api)["spec"] == SPEC


def test_it_can_be_changed_too_when_the_transition_rules_are_evaluated(api: ApiServer) -> None:
    api.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(route({**SPEC, "suspend": {"mode": "hold"}})))
    assert stored_route(api)["spec"] == {**SPEC, "suspend": {"mode": "hold"}}


def test_the_longest_path_fits_into_the_status(api: ApiServer) -> None:
    status = {"status": {"path": f"/hooks/{NAMESPACE}/{NAME}", "url": f"https://{'h' * 250}/hooks/{NAMESPACE}/{NAME}"}}
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps(status))
    api.kubectl("patch", "er", NAME, "-n", NAMESPACE, *patch)
    assert stored_route(api)["status"] == status["status"]


@pytest.mark.parametrize("name", ["r" * 254, "a_b", "-a", "a..b", "A"])
def test_a_name_that_no_path_could_hold_is_refused_by_both(api: ApiServer, name: str) -> None:
    manifest = route({"provider": "none", "allowUnauthenticated": True}, name)
    assert not isinstance(parse_route(manifest), EventRoute)
    done = api.try_kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))
    assert "metadata.name: Invalid value" in done.stderr
