"""A route that is deleted and made again while events arrive: each of them ends in one way that is written down."""

from collections import Counter

from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER, Traffic, outcomes


def test_every_acknowledged_event_is_answered_or_discarded_and_none_meets_an_error(site: Installation) -> None:
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
    ended = outcomes(traffic)
    assert {*ended.values()} == {"succeeded", "discarded"}
    streamed = Counter(entry["delivery"] for entry in site.answers())
    assert {name for name, outcome in ended.items() if outcome == "succeeded"} == {*ended} & {*streamed}
    assert all(streamed[name] <= 1 for name in ended)
    last = site.answer(site.send("again", PROVIDER).json()["delivery"])
    assert last["outcome"] == "succeeded"
