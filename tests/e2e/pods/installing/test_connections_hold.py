"""NetworkPolicies, tried from inside the pods: what should be cut off is, and what is needed works."""

import json
from collections.abc import Iterator

import pytest

from e2e.support.connections import idle_pod, reached
from e2e.support.installation import TRIAL, Installation, new_namespace, until

SERVICES = {
    "hooks": ("receiver", 80),
    "receiver's probes": ("receiver-probes", 8081),
    "worker's probes": ("worker-probes", 8081),
    "operator's probes": ("operator-probes", 8081),
    "valkey": ("valkey", 6379),
    "simulator": ("simulator", 8090),
    "traces": ("jaeger", 4318),
    "pages of traces": ("jaeger", 16686),
}


@pytest.fixture(scope="module")
def stranger(installation: Installation) -> Iterator[str]:
    """A namespace with an idle pod, `stranger`, beside the installation's."""
    namespace, cluster = new_namespace("stranger"), installation.cluster
    cluster.kubectl("create", "namespace", namespace)
    cluster.kubectl("apply", "--namespace", namespace, "--filename", "-", stdin=json.dumps(idle_pod("stranger")))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/stranger", "--namespace", namespace, "--timeout=60s")
    yield namespace
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def targets(installation: Installation) -> dict[str, tuple[str, int]]:
    """Everything that listens in the namespace, and the API server."""
    cluster = installation.cluster
    api = cluster.get("service", "kubernetes", "--namespace", "default")["spec"]["clusterIP"]
    ours = {
        name: (installation.get("service", f"eventroute-{service}")["spec"]["clusterIP"], port)
        for name, (service, port) in SERVICES.items()
    }
    return {**ours, "API server": (api, 443)}


@pytest.mark.parametrize(
    ("component", "allowed"),
    [
        ("receiver", {"valkey", "traces"}),
        ("worker", {"valkey", "traces", "simulator"}),
        ("operator", {"valkey", "API server"}),
        ("simulator", set()),
    ],
)
def test_a_program_reaches_what_it_needs_and_nothing_else(
    installation: Installation, component: str, allowed: set[str]
) -> None:
    found = targets(installation)
    for name, (service, _) in SERVICES.items():
        if service.removesuffix("-probes") == component:
            del found[name]  # no policy keeps a pod from itself
    pod = installation.pods(component)[0]
    assert reached(installation.cluster, installation.namespace, pod, found) == allowed


def test_a_stranger_reaches_the_hooks_only(installation: Installation, stranger: str) -> None:
    found = targets(installation)
    assert reached(installation.cluster, stranger, "stranger", found) == {"hooks", "API server"}


def test_with_policies_a_webhook_is_answered(installation: Installation) -> None:
    installation.add_route("triage", "github")
    delivery = installation.send("triage", "github").json()["delivery"]
    assert installation.answer(delivery)["outcome"] == "succeeded"


def test_without_policies_everything_can_be_reached(installation: Installation, stranger: str) -> None:
    """Else the tests above would praise policies for what does not run."""
    installation.upgrade({**TRIAL, "networkPolicies": {"enabled": False}})
    found = targets(installation)
    until(lambda: reached(installation.cluster, stranger, "stranger", found) == found.keys(), "everything")
