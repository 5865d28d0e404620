"""`helm upgrade` with other settings, while events arrive and others wait in the queue."""

from e2e.support.cluster import Values
from e2e.support.installation import TRIAL, Installation, merge
from e2e.support.traffic import PROVIDER, Traffic, discrepancies

SECRETS = ("eventroute-valkey", "eventroute-table-keys")
PROGRAMS = ("receiver", "worker")
CHANGED = {program: {"logLevel": "DEBUG", "replicas": 3} for program in PROGRAMS}


def test_no_request_fails_nothing_is_lost_and_keys_stay(site: Installation, site_values: Values) -> None:
    site.add_route("upgraded", PROVIDER)
    before = {name: site.get("secret", name)["data"] for name in SECRETS}
    old = [pod for program in PROGRAMS for pod in site.pods(program)]
    site.fault(kind="ok", delay_s=5, times=40)
    waiting = Traffic(site, "upgraded", per_second=100, size=60)
    with waiting.flowing():
        pass
    traffic = Traffic(site, "upgraded", per_second=8)
    with traffic.flowing():
        assert site.queued() > 30, "work must be waiting"
        site.upgrade(merge(merge(TRIAL, site_values), CHANGED))
        site.wait_gone(old)
        traffic.until_acknowledged(20)
    assert (waiting.statuses() + traffic.statuses()).keys() == {200}
    assert discrepancies(waiting) + discrepancies(traffic) == []
    assert {name: site.get("secret", name)["data"] for name in SECRETS} == before
    assert [len(site.pods(program)) for program in PROGRAMS] == [3, 3]
