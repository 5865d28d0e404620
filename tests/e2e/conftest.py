"""The cluster of a run and installations in it, as `make e2e`'s variables CLUSTER and KEEP say."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import pytest

from e2e.support.autoscaler import remove_keda, start_keda
from e2e.support.cluster import Cluster
from e2e.support.cluster import cluster as a_cluster
from e2e.support.installation import TRIAL, Installation, merge, new_namespace
from e2e.support.shell import Failed, Unusable

_LIVE: Final[list[Installation]] = []
"""Installations that a failing test may have to do with."""

_AFTERMATH: Final[list[tuple[str, str]]] = []
"""What was seen of installations that failed, and are gone when the test's report is made."""

NewInstallation = Callable[..., AbstractContextManager[Installation]]


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster, made or found before the first test that needs one; what it waits for is told as it happens."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    loud = capture.global_and_fixture_disabled if capture else contextlib.nullcontext
    found = a_cluster(os.environ.get("CLUSTER", "host"), keep=bool(os.environ.get("KEEP")))
    try:
        with loud():
            print()  # noqa: T201 - pytest's line of dots is not over
            up = found.__enter__()
    except (Unusable, Failed) as error:
        pytest.exit(f"no cluster: {error}", returncode=2)
    try:
        yield up
    finally:
        with loud():
            print()  # noqa: T201 - the same
            found.__exit__(None, None, None)


@pytest.fixture(scope="session")
def new_installation(cluster: Cluster) -> NewInstallation:
    """How to have an installation of one's own: `with new_installation(values): …`, gone at the end of the block."""

    @contextlib.contextmanager
    def install(values: dict[str, Any] | None = None, *, word: str = "pods") -> Iterator[Installation]:
        installation = Installation(cluster, new_namespace(word))
        _LIVE.append(installation)
        installation.create_namespace()
        try:
            try:
                installation.install(merge(TRIAL, values or {}))
            except Failed:
                _AFTERMATH.append((f"namespace {installation.namespace}", installation.diagnostics()))
                raise
            yield installation
        finally:
            _LIVE.remove(installation)
            if not os.environ.get("KEEP"):
                cluster.kubectl("delete", "namespace", installation.namespace, "--wait=false")
            installation.close()

    return install


@pytest.fixture(scope="module")
def keda(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with KEDA in it, which the module may take away."""
    if cluster.kind != "host":
        pytest.skip("the images of KEDA are made for CLUSTER=host")
    start_keda(cluster)
    yield cluster
    remove_keda(cluster)


@pytest.fixture(scope="module")
def installation(new_installation: NewInstallation) -> Iterator[Installation]:
    """The chart with the simulator and Jaeger in a namespace of the module's own; its tests share it, one by one."""
    with new_installation() as found:
        yield found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what the cluster has to say about it, before the namespace goes."""
    report = yield
    if report.failed:
        report.sections += _AFTERMATH
        report.sections += [(f"namespace {found.namespace}", found.diagnostics()) for found in _LIVE]
        _AFTERMATH.clear()
    return report
