"""What the chart renders, over settings that use all of it; and an API server of its own, to install it in."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from support.api_server import ApiServer, NotBuiltError, api_server
from support.chart import INSTALLATIONS, Object, render
from support.foreign import definitions


@pytest.fixture(scope="session", params=INSTALLATIONS, ids=lambda name: name.replace(" ", "-"))
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """All objects of an installation."""
    return render(INSTALLATIONS[request.param])


@pytest.fixture(scope="session")
def api() -> Iterator[ApiServer]:
    """A Kubernetes API that knows the kinds of KEDA, Prometheus and gateways, and not ours: the chart brings it."""
    try:
        with api_server(Path(mkdtemp(prefix="er-chart-"))) as server:
            for definition in definitions():
                server.define(definition)
            yield server
    except NotBuiltError as missing:
        pytest.fail(str(missing))
