"""One installation that keeps its data on a volume; the tests of this folder disturb it, one after the other."""

import os
from collections.abc import Iterator

import pytest

from e2e.conftest import NewInstallation
from e2e.support.cluster import Cluster, Values
from e2e.support.installation import Installation
from e2e.support.volume import persistence


@pytest.fixture(scope="session")
def site_values(cluster: Cluster) -> Iterator[Values]:
    """What the installation is installed with, over those of a trial."""
    if cluster.kind != "host":
        pytest.skip(
            "a port-forward ends with its pod; only on the cluster of this machine a Service itself is in reach"
        )
    with persistence(cluster, keep=bool(os.environ.get("KEEP"))) as values:
        yield values


@pytest.fixture(scope="session")
def site(new_installation: NewInstallation, site_values: Values) -> Iterator[Installation]:
    """The installation; every test leaves it whole."""
    with new_installation(site_values, word="faults") as found:
        yield found


@pytest.fixture(autouse=True)
def calm(site: Installation) -> None:
    """Begin each test with a Claude that answers at once, and remembers nothing."""
    site.calm()
