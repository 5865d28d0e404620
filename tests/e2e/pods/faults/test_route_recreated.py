"""A route that is deleted and made again while events arrive: what was queued waits for it, and is answered."""

from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER, Traffic, discrepancies


def test_every_acknowledged_event_is_answered_and_none_meets_an_error(site: Installation) -> None:
    site.add_route("again", PROVIDER)
    manifest = {key: value for key, value in site.route("again").items() if key in {"apiVersion", "kind", "spec"}}
    site.fault(kind="ok", delay_s=0.5, times=200)
    traffic = Traffic(site, "again", per_second=40)
    with traffic.flowing():
        traffic.until_acknowledged(60)
        site.kubectl("delete", "eventroute", "again")
        until(lambda: traffic.statuses()[503], "the deleted route takes nothing")
        site.apply({**manifest, "metadata": {"name": "again"}})
        site.wait_ready("again")
        traffic.until_acknowledged(20)
        site.kubectl("delete", "eventroute", "again")
        site.apply({**manifest, "metadata": {"name": "again"}})
        traffic.until_acknowledged(20)
    site.wait_ready("again")
    assert traffic.statuses().keys() == {200, 503}
    assert discrepancies(traffic) == []
    last = site.answer(site.send("again", PROVIDER).json()["delivery"])
    assert last["outcome"] == "succeeded"
