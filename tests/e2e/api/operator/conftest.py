"""One control plane for this folder's tests, each of which has a namespace of its own and leaves all parts running."""

from collections.abc import Iterator

import pytest

from support.api_server import ApiServer
from support.control_plane import ControlPlane, Namespace, control_plane


@pytest.fixture(scope="session")
def plane(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane."""
    with control_plane(tmp_path_factory.mktemp("plane"), api_server) as running:
        yield running


@pytest.fixture
async def team(plane: ControlPlane) -> Namespace:
    """An empty namespace, watched by an operator that has seen everything."""
    await plane.operator.until_ready()
    return plane.namespace()
