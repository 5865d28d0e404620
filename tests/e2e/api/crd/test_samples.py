"""Every sample is taken, and every refused one refused, by the API server as by `eventroute lint`."""

from pathlib import Path

import pytest

from eventroute.compile import Severity
from eventroute.crd.manifest import load_manifests
from eventroute_cli.findings import examine
from support.api_server import ApiServer

SAMPLES = Path(__file__).parents[4] / "k8s/samples"
GOOD = sorted(SAMPLES.glob("*.yaml"))
REFUSED = sorted((SAMPLES / "refused").glob("*.yaml"))
APPLY = ("apply", "--server-side", "--dry-run=server", "-f")
BY_THE_SCHEMA = (" is invalid: ", "failed to create typed patch object", "ensure CRDs are installed first")
"""How the API server says that an object is wrong, and not that something else is."""


@pytest.fixture(scope="module")
def api(api_server: ApiServer) -> ApiServer:
    namespaces = {found.route.metadata.namespace for found in load_manifests(GOOD).routes} | {"team-a"}
    for namespace in sorted(namespaces):
        api_server.kubectl("create", "namespace", namespace)
    return api_server


def test_all_samples_are_taken(api: ApiServer) -> None:
    done = api.kubectl(*APPLY, str(SAMPLES)).splitlines()
    routes = [line for line in done if line.startswith("eventroute.eventroute.dev/")]
    assert len(routes) == len(GOOD) > 30


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.stem)
def test_a_refused_sample_is_refused_by_both(api: ApiServer, file: Path) -> None:
    done = api.try_kubectl(*APPLY, str(file))
    assert done.returncode == 1, done.stdout
    assert any(sign in done.stderr for sign in BY_THE_SCHEMA), done.stderr
    assert [finding.severity for finding in examine([file], with_secrets=False).findings].count(Severity.ERROR) == 1


def test_it_is_the_file_that_is_refused_and_not_everything(api: ApiServer) -> None:
    text = (SAMPLES / "refused/suspend-without-mode.yaml").read_text(encoding="utf-8")
    mended = text.replace("suspend: {}", "suspend: {mode: hold}")
    assert mended != text
    assert "serverside-applied" in api.kubectl(*APPLY, "-", stdin=mended)
