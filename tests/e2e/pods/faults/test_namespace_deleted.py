"""A namespace goes with the routes in it; nobody else notices."""

from collections.abc import Iterator

import pytest

from e2e.support.cluster import Values
from e2e.support.installation import TRIAL, Installation, merge, new_namespace, until
from e2e.support.traffic import PROVIDER, Traffic, discrepancies


class Tenant(Installation):
    """Somebody with a namespace, served by another one's installation."""

    def __init__(self, host: Installation) -> None:
        """Take a new namespace."""
        super().__init__(host.cluster, new_namespace("tenant"))
        self._host = host

    def reach(self, component: str, port: int) -> str:
        """Reach the host's Services."""
        return self._host.reach(component, port)


@pytest.fixture
def tenant(site: Installation, site_values: Values) -> Iterator[Tenant]:
    """A tenant of the installation."""
    found = Tenant(site)
    found.create_namespace()
    served = {"operator": {"namespaces": [site.namespace, found.namespace]}}
    site.upgrade(merge(merge(TRIAL, site_values), served))
    yield found
    site.cluster.kubectl("delete", "namespace", found.namespace, "--ignore-not-found", "--wait=false")
    site.upgrade(merge(TRIAL, site_values))
    found.close()


def test_its_routes_are_gone_and_the_others_go_on(site: Installation, tenant: Tenant) -> None:
    site.add_route("staying", PROVIDER)
    tenant.add_route("going", PROVIDER)
    assert tenant.send("going", PROVIDER).status_code == 200
    before = site.starts("operator")
    traffic = Traffic(site, "staying")
    with traffic.flowing():
        site.cluster.kubectl("delete", "namespace", tenant.namespace)
        until(lambda: tenant.send("going", PROVIDER).status_code == 503, "the route is gone")
        site.patch_route("staying", sinks=[{"stream": {"name": "elsewhere"}}])
        site.wait_served("staying")
        site.add_route("newcomer", PROVIDER)
    assert traffic.statuses().keys() == {200}
    assert site.starts("operator") == before
    site.answer(site.send("staying", PROVIDER).json()["delivery"], stream="elsewhere")
    assert discrepancies(traffic, streams=("answers", "elsewhere")) == []
    # Its Role went with it; an operator that begins now serves the others all the same.
    site.kubectl("rollout", "restart", "deployment/eventroute-operator")
    site.rolled_out("operator")
    site.add_route("latecomer", PROVIDER)
