"""One installation that keeps its data on a volume; the tests of this folder disturb it, one after the other."""

import os
from collections.abc import Iterator

import pytest

from e2e.conftest import NewInstallation
from e2e.support.cluster import Cluster
from e2e.support.installation import Installation
from e2e.support.volume import persistence


@pytest.fixture(scope="session")
def site(cluster: Cluster, new_installation: NewInstallation) -> Iterator[Installation]:
    """The installation; every test leaves it whole."""
    with (
        persistence(cluster, keep=bool(os.environ.get("KEEP"))) as values,
        new_installation(values, word="faults") as found,
    ):
        yield found
