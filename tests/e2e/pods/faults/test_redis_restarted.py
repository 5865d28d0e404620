"""Redis goes away and comes back with its data: receipts wait, or senders hear 503; what was acknowledged is done."""

import pytest

from e2e.support.installation import Installation
from e2e.support.traffic import PROVIDER, Traffic, discrepancies

PROGRAMS = ("receiver", "worker", "operator")


@pytest.mark.parametrize("grace_s", [30, 1])
def test_nothing_acknowledged_is_lost_and_no_program_is_restarted(site: Installation, grace_s: int) -> None:
    route = f"durable-{grace_s}"
    site.add_route(route, PROVIDER)
    before = {program: site.starts(program) for program in PROGRAMS}
    site.fault(kind="ok", delay_s=0.3, times=100)
    traffic = Traffic(site, route, per_second=40)
    with traffic.flowing():
        traffic.until_acknowledged(60)
        site.kubectl("delete", "pod", "eventroute-valkey-0", f"--grace-period={grace_s}")
        site.kubectl("wait", "--for=condition=Ready", "pod/eventroute-valkey-0", "--timeout=60s")
        traffic.until_acknowledged(20)
    assert traffic.statuses().keys() <= {200, 503}
    assert all(int(answer.retry_after) > 0 for answer in traffic.answers if answer.status == 503)
    assert discrepancies(traffic) == []
    assert {program: site.starts(program) for program in PROGRAMS} == before
    site.wait_ready(route)
