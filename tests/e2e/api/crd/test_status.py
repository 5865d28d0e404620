"""A status with everything in it comes back as it was written, and only through its own door."""

import json
from typing import Any

import pytest

from eventroute.crd.status import ConditionType, EventRouteStatus
from support.api_server import ApiServer

NAMESPACE = "status"
TIME = "2026-01-31T12:00:00Z"
STATUS: dict[str, Any] = {
    "observedGeneration": 3,
    "conditions": [
        {
            "type": str(kind),
            "status": "True",
            "reason": "Ready",
            "message": "x" * 256,
            "lastTransitionTime": TIME,
            "observedGeneration": 3,
        }
        for kind in ConditionType
    ],
    "path": "/hooks/status/route",
    "url": "https://hooks.example.com/hooks/status/route",
    "model": "claude-haiku-5-5",
    "secrets": [{"name": "a", "key": "b", "revision": "5f0e3a52", "lastMatched": TIME}],
    "programmed": {"receiver": 3, "worker": 2},
    "lastDelivery": {"time": TIME, "outcome": "succeeded", "delivery": "d-a", "traceId": "0" * 32},
    "counts": {"accepted": 5, "duplicate": 1, "filtered": 0, "refused": 2**40, "succeeded": 4, "dead": 1},
}
ROUTE = {
    "apiVersion": "eventroute.dev/v1alpha1",
    "kind": "EventRoute",
    "metadata": {"name": "route", "namespace": NAMESPACE},
    "spec": {"provider": "none", "allowUnauthenticated": True},
}


@pytest.fixture(scope="module")
def api(api_server: ApiServer) -> ApiServer:
    api_server.kubectl("create", "namespace", NAMESPACE)
    api_server.kubectl("apply", "-f", "-", stdin=json.dumps(ROUTE))
    return api_server


def stored(api: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(api.kubectl("get", "er", "route", "-n", NAMESPACE, "-o", "json"))
    return found


def write(api: ApiServer, status: object) -> None:
    patch = json.dumps({"status": status})
    api.kubectl("patch", "er", "route", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)


def test_the_example_says_everything_that_a_status_can_say() -> None:
    status = EventRouteStatus.model_validate_json(json.dumps(STATUS))
    assert status.model_dump(mode="json", by_alias=True) == STATUS


def test_a_full_status_survives(api: ApiServer) -> None:
    write(api, STATUS)
    assert stored(api)["status"] == STATUS


def test_a_status_moves_no_generation(api: ApiServer) -> None:
    before = stored(api)["metadata"]["generation"]
    write(api, {**STATUS, "observedGeneration": 4})
    assert stored(api)["metadata"]["generation"] == before


def test_an_ordinary_write_does_not_touch_it(api: ApiServer) -> None:
    write(api, STATUS)
    api.kubectl("apply", "-f", "-", stdin=json.dumps({**ROUTE, "status": {"path": "/elsewhere"}}))
    assert stored(api)["status"] == STATUS


def test_what_no_status_says_is_refused(api: ApiServer) -> None:
    condition = {**STATUS["conditions"][0], "message": "x" * 257}
    patch = json.dumps({"status": {"conditions": [condition]}})
    done = api.try_kubectl("patch", "er", "route", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)
    assert done.returncode == 1
    assert "status.conditions[0].message: Too long" in done.stderr


def test_a_condition_can_be_waited_for(api: ApiServer) -> None:
    write(api, STATUS)
    assert "condition met" in api.kubectl("wait", "--for=condition=Ready", "er/route", "-n", NAMESPACE, "--timeout=5s")
