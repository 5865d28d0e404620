"""Kubernetes' own autoscaler: receivers come with the CPU that they use."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.conftest import NewInstallation
from e2e.support.cluster import Cluster
from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER, Traffic

VALUES = {
    "autoscaling": {
        "mode": "hpa",
        "receiver": {"min": 1, "max": 2, "cpu": 60},
        "worker": {"min": 1, "max": 2},
    },
    "receiver": {"resources": {"requests": {"cpu": "50m"}}},  # a modest burst is a multiple of this, an idle pod half
    "operator": {"resyncSeconds": 5},  # it asks for the autoscalers' opinion that often
    "jaeger": {"enabled": False},
}
MEASURED_S = 90.0
"""A figure takes two looks of the metrics server, 10 s apart, and a look of the autoscaler."""


@pytest.fixture(scope="module")
def scaled(cluster: Cluster, new_installation: NewInstallation) -> Iterator[Installation]:
    """An installation that Kubernetes scales, with the route `triage`."""
    if "metrics.k8s.io" not in cluster.kubectl("get", "apiservices", "--output=name"):
        pytest.skip("CPU figures need the metrics server, which CLUSTER=host has")
    with new_installation(VALUES, word="cpu") as found:
        found.add_route("triage", PROVIDER)
        yield found


def autoscaler(installation: Installation, component: str) -> Any:
    """Ask what an autoscaler sees and wants."""
    return installation.get("horizontalpodautoscaler", f"eventroute-{component}")["status"]


def measures(installation: Installation, component: str) -> bool:
    """Say whether an autoscaler has a figure to go by."""
    conditions = autoscaler(installation, component).get("conditions", [])
    return any(each["type"] == "ScalingActive" and each["status"] == "True" for each in conditions)


def test_an_idle_receiver_is_left_alone(scaled: Installation) -> None:
    until(lambda: all(measures(scaled, each) for each in ("receiver", "worker")), "figures of both", MEASURED_S)
    assert autoscaler(scaled, "receiver")["desiredReplicas"] == 1


def test_a_busy_receiver_gets_help_and_both_answer(scaled: Installation) -> None:
    traffic = Traffic(scaled, "triage", per_second=150)
    with traffic.flowing():
        until(lambda: autoscaler(scaled, "receiver")["desiredReplicas"] == 2, "two receivers", MEASURED_S)
        until(lambda: scaled.get("deployment", "eventroute-receiver")["status"].get("readyReplicas") == 2, "both", 60)
        traffic.until_acknowledged(50)
    assert {*traffic.statuses()} == {200}


def test_a_route_says_that_it_is_scaled(scaled: Installation) -> None:
    until(lambda: scaled.condition("triage", "ScalingReady") == ("True", "Autoscaled"), "ScalingReady", MEASURED_S)
    scaled.kubectl("delete", "horizontalpodautoscaler", "eventroute-worker")
    until(lambda: scaled.condition("triage", "ScalingReady") == ("False", "AutoscalerNotReady"), "the condition", 60)
    assert scaled.condition("triage", "Ready") == ("True", "Ready")
