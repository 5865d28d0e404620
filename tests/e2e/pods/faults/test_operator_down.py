"""Without the operator events are taken and worked on, also by new pods; what changed meanwhile is done later."""

from concurrent.futures import ThreadPoolExecutor

from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER, Traffic, discrepancies


def test_traffic_goes_on_and_changes_wait(site: Installation) -> None:
    site.add_route("unattended", PROVIDER)
    traffic = Traffic(site, "unattended")
    with traffic.flowing():
        site.scale("operator", 0)
        site.patch_route("unattended", sinks=[{"stream": {"name": "edited"}}])
        leaving = {program: site.pods(program)[0] for program in ("receiver", "worker")}
        site.kubectl("delete", "pod", *leaving.values())
        for program, pod in leaving.items():
            site.rolled_out(program)
            assert pod not in site.pods(program)
        traffic.until_acknowledged(40)
    assert traffic.statuses().keys() == {200}
    assert discrepancies(traffic) == [], "all as before the edit"
    route = site.route("unattended")
    assert route["status"]["observedGeneration"] < route["metadata"]["generation"]

    site.scale("operator", 1)
    site.wait_served("unattended")
    site.answer(site.send("unattended", PROVIDER).json()["delivery"], stream="edited")


def test_an_operator_that_is_killed_at_work_converges_when_it_is_back(site: Installation) -> None:
    names = [f"many-{number:02d}" for number in range(60)]
    (killed,) = site.pods("operator")
    with ThreadPoolExecutor() as pool:
        manifests = [manifest for name in names for manifest in site.manifests(name, PROVIDER)]
        applying = pool.submit(site.apply, *manifests)
        until(lambda: _ready(site, names), "the first route is ready")
        site.kill(killed)
        assert not applying.done(), "the operator must be killed in the middle"
    applying.result()
    gone, *kept = names
    site.kubectl("delete", "eventroute", gone)
    site.rolled_out("operator")
    until(lambda: {*kept} == {*_ready(site, names)}, "all routes are ready")
    assert {site.send(name, PROVIDER).status_code for name in kept} == {200}
    until(
        lambda: site.send(gone, PROVIDER).status_code in {404, 503}, "the deleted route is gone"
    )  # never known, or held
    site.kubectl("delete", "eventroute", *kept)


def _ready(site: Installation, names: list[str]) -> list[str]:
    rows = [line.split() for line in site.kubectl("get", "eventroutes", "--no-headers").splitlines()]
    return [name for name, _, _, _, ready, *_ in rows if name in names and ready == "True"]
