"""New receivers take over from old ones without a sender's noticing."""

from e2e.support.installation import Installation
from e2e.support.traffic import PROVIDER, Traffic, discrepancies


def test_no_request_fails_while_receivers_are_replaced(site: Installation) -> None:
    site.add_route("rollout", PROVIDER)
    before = site.pods("receiver")
    traffic = Traffic(site, "rollout")
    with traffic.flowing():
        traffic.until_acknowledged(20)
        site.kubectl("rollout", "restart", "deployment/eventroute-receiver")
        site.rolled_out("receiver")
        site.wait_gone(before)
        traffic.until_acknowledged(20)
    assert not {*before} & {*site.pods("receiver")}
    assert traffic.statuses().keys() == {200}
    assert discrepancies(traffic) == []
