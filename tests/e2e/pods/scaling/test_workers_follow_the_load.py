"""KEDA: workers come with deliveries that are due and go with them; deliveries that wait for a later try hold none."""

from collections.abc import Iterator

import pytest

from e2e.conftest import NewInstallation
from e2e.support.autoscaler import remove_keda
from e2e.support.cluster import Cluster
from e2e.support.installation import TRIAL, Installation, merge, until
from e2e.support.traffic import PROVIDER, Traffic, discrepancies

MAX = 3
VALUES = {
    "autoscaling": {
        "mode": "keda",
        "worker": {"min": 0, "max": MAX, "target": 4, "pollingInterval": 1, "cooldown": 3},
        "receiver": {"min": 1, "max": 2},
    },
    "worker": {"maxJobs": 2, "concurrentCalls": 2},
    "operator": {"resyncSeconds": 5},  # it asks for KEDA's opinion that often
}
SLOW_S = 3.0
LATER_S = 40.0
REQUESTS, STORM = 120, 100
"""A minute's allowance, and a storm that takes most of one."""
LESSON = 10


@pytest.fixture(scope="module")
def scaled(keda: Cluster, new_installation: NewInstallation) -> Iterator[Installation]:
    """An installation that KEDA scales, with the route `triage`, and no worker."""
    del keda  # it has to be there first
    with new_installation(VALUES, word="scaling") as found:
        found.add_route("triage", PROVIDER)
        yield found


def workers(installation: Installation) -> int:
    """Say how many workers there are to be."""
    found: int = installation.get("deployment", "eventroute-worker")["spec"]["replicas"]
    return found


def until_none(installation: Installation) -> None:
    """Wait until no worker is wanted and the last has left."""
    of_workers = ("pods", "--selector", "app.kubernetes.io/component=worker")
    until(lambda: workers(installation) == 0 and not installation.get(*of_workers)["items"], "no worker", 60)


def test_a_route_says_that_it_is_scaled(scaled: Installation) -> None:
    until(lambda: scaled.condition("triage", "ScalingReady") == ("True", "Autoscaled"), "ScalingReady", 90)
    scaled.wait_ready("triage")


def test_from_none_to_many_and_back(scaled: Installation) -> None:
    until_none(scaled)
    traffic = Traffic(scaled, "triage", size=24)
    scaled.fault(kind="ok", delay_s=SLOW_S, times=24)
    with traffic.flowing():
        until(lambda: workers(scaled) == MAX, f"{MAX} workers", 60)
    assert discrepancies(traffic) == []
    until_none(scaled)


def test_a_storm_of_rate_limits_adds_no_worker_and_what_waits_holds_none(scaled: Installation) -> None:
    # One refusal holds for all: whoever comes while it does waits for its turn, and nobody is called to wait with it.
    first, storm = Traffic(scaled, "triage", size=1), Traffic(scaled, "triage", per_second=20, size=20)
    scaled.fault(kind="429", retry_after_s=LATER_S)
    until_none(scaled)
    with first.flowing():
        until(lambda: any(call["given"]["status"] == 429 for call in scaled.calls()), "a worker", 60)
    counted: set[int] = set()

    def all_wait_and_no_worker_does() -> bool:
        counted.add(workers(scaled))
        return 0 in counted and scaled.queued() == 21

    with storm.flowing():
        until(all_wait_and_no_worker_does, "21 deliveries that wait, and no worker", LATER_S)
    assert counted <= {0, 1}
    until(lambda: workers(scaled) > 0, "a worker when the time has come", 60)
    assert discrepancies(first) + discrepancies(storm) == []


@pytest.fixture
def pair(scaled: Installation) -> Iterator[Installation]:
    """The same with two workers that stay, whatever the load."""
    scaled.upgrade(merge(TRIAL, merge(VALUES, {"autoscaling": {"worker": {"min": 2}}})))
    until(lambda: scaled.get("deployment", "eventroute-worker")["status"].get("readyReplicas") == 2, "two workers", 90)
    yield scaled
    scaled.upgrade(merge(TRIAL, VALUES))


def answered(installation: Installation, before: int) -> int:
    """Count the calls that got an answer, after so many others."""
    return [call["given"]["status"] for call in installation.calls()[before:]].count(200)


def test_two_workers_share_what_the_api_allows_and_a_storm_adds_none(pair: Installation) -> None:
    pair.limit(requests=REQUESTS, burst_s=1)
    lesson, storm = (Traffic(pair, "triage", per_second=40, size=size) for size in (LESSON, STORM))
    before = len(pair.calls())
    # A refusal teaches the pace, now or in an earlier test; before it, all that a minute allows may come at once.
    with lesson.flowing():
        until(lambda: answered(pair, before) >= LESSON, "all answers", LESSON * 60 / REQUESTS + 60)
    before, both = len(pair.calls()), pair.addresses("worker")
    counted: set[int] = set()

    def all_are_answered() -> bool:
        counted.add(workers(pair))
        return pair.queued() == 0 and answered(pair, before) >= STORM

    with storm.flowing():
        until(lambda: pair.queued() > 0, "the storm", 60)
        until(all_are_answered, "all answers", STORM * 60 / REQUESTS + 120)
    calls = pair.calls()[before:]
    pair.limit(requests=1_000_000, burst_s=60)
    assert {call["client"] for call in calls} == both
    assert [call["given"]["status"] for call in calls].count(429) <= 0.02 * len(calls)
    assert counted == {2}
    assert discrepancies(lesson) + discrepancies(storm) == []


def test_without_keda_routes_work_and_say_what_is_missing(scaled: Installation, cluster: Cluster) -> None:
    scaled.kubectl("delete", "scaledobjects", "--all")
    until(lambda: scaled.condition("triage", "ScalingReady") == ("False", "AutoscalerNotReady"), "the condition", 90)
    remove_keda(cluster)
    until(lambda: scaled.condition("triage", "ScalingReady") == ("False", "KedaNotInstalled"), "the condition", 90)
    scaled.scale("worker", 1)
    delivery = scaled.send("triage", PROVIDER).json()["delivery"]
    assert scaled.answer(delivery)["outcome"] == "succeeded"
    assert scaled.condition("triage", "Ready") == ("True", "Ready")
