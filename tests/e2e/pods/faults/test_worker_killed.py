"""A worker's pod that disappears in the middle of its work costs nothing but a moment."""

from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER, Traffic, calls_by_delivery, discrepancies

EVENTS = 300
CALLS = 5  # of a worker at the same time, unless set
SLOW_S = 10.0  # Kubernetes leaves a pod a moment even with a grace of 0: what is lost must take longer


def test_nothing_is_lost_doubled_or_paid_for_again(site: Installation) -> None:
    site.add_route("burst", PROVIDER)
    killed, *others = site.pods("worker")
    workers = 1 + len(others)
    site.fault(kind="ok", delay_s=SLOW_S, times=CALLS * workers)
    traffic = Traffic(site, "burst", per_second=50, size=EVENTS)
    with traffic.flowing():
        # One slot of each may be kept for the routes of earlier tests.
        until(lambda: len(calls_by_delivery(traffic)) >= (CALLS - 1) * workers, "calls in the slots")
        site.kill(killed)
        assert len(traffic.acknowledged) < EVENTS, "the pod must be killed in the middle"
    assert traffic.statuses().keys() == {200}
    assert discrepancies(traffic) == []
    asked_again = [delivery for delivery, calls in calls_by_delivery(traffic).items() if len(calls) > 1]
    assert 0 < len(asked_again) <= CALLS, "what the killed pod had asked, and nothing else"
    site.rolled_out("worker")
    assert {*others} <= {*site.pods("worker")}
