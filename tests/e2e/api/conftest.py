"""An API server for the tests of this folder: started once, with the resource defined."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from support.api_server import ApiServer, NotBuiltError
from support.api_server import api_server as running_api_server

DEFINITION = Path(__file__).parents[3] / "k8s/crd/eventroute.dev_eventroutes.yaml"


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """A Kubernetes API that knows EventRoutes, in a folder with a short name, as sockets want it."""
    try:
        with running_api_server(Path(mkdtemp(prefix="er-api-"))) as server:
            server.define(DEFINITION)
            yield server
    except NotBuiltError as missing:
        pytest.fail(str(missing))
