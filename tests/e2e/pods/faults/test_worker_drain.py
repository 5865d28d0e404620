"""A worker that is asked to leave finishes what it has begun."""

from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER, Traffic, calls_by_delivery, discrepancies

SLOW_S = 15.0


def test_a_slow_call_is_finished_by_the_pod_that_made_it(site: Installation) -> None:
    site.add_route("slow", PROVIDER)
    site.fault(kind="ok", delay_s=SLOW_S)
    leaving = site.pods("worker")
    traffic = Traffic(site, "slow", size=1)
    with traffic.flowing():
        traffic.until_acknowledged(1)
    (delivery,) = traffic.acknowledged.values()
    until(lambda: calls_by_delivery(traffic).get(delivery), "the call")
    site.kubectl("delete", "pod", *leaving, "--wait=false")
    site.rolled_out("worker")
    assert site.outcome(delivery) is None, "the call must outlast the arrival of the new pods"
    assert discrepancies(traffic) == []
    assert len(calls_by_delivery(traffic)[delivery]) == 1
    assert site.record(delivery, "attempts") == "1"
    site.wait_gone(leaving)
