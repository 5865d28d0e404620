"""The sample routes lint clean, hold no secrets, say what they show, and are what the demo runs."""

from importlib.resources import files
from pathlib import Path

import pytest

from eventroute.compile import Severity, references
from eventroute.crd.manifest import load_manifests
from eventroute.crd.v1alpha1 import SecretKeyRef
from eventroute_cli.findings import examine

SAMPLES = Path(__file__).parents[3] / "k8s" / "samples"
FILES = sorted(SAMPLES.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sample_lints_clean_without_its_secrets(file: Path) -> None:
    examined = examine([file], with_secrets=False)
    assert len(examined.compiled.verdicts) == 1
    text = file.read_text(encoding="utf-8")
    needs_a_secret = "secretRefs:" in text or "verifyTokenRef:" in text
    expected = {(Severity.NOTE, "SecretNotFound")} if needs_a_secret else set()
    if "    - route:" in text or "      route: {" in text:
        expected.add((Severity.NOTE, "TargetNotFound"))
    if file.name in {"aws-sns-alarms.yaml", "google-pubsub-uploads.yaml"}:
        expected.add((Severity.NOTE, "KeysAreFetched"))
    assert {(finding.severity, finding.reason) for finding in examined.findings} == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sample_says_what_it_shows_and_holds_no_secret(file: Path) -> None:
    assert file.read_text().startswith("# ")
    assert load_manifests([file]).secrets == ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sample_says_how_to_make_each_secret_that_it_names(file: Path) -> None:
    (found,) = load_manifests([file]).routes
    comments = " ".join(line.strip("# \\") for line in file.read_text().splitlines() if line.startswith("#"))
    for ref in (each for each in references(found.route.spec) if isinstance(each, SecretKeyRef)):
        command = f"kubectl -n {found.route.metadata.namespace} create secret generic {ref.name} "
        assert f"--from-literal={ref.key}=" in comments.partition(command)[2]


def test_all_samples_have_paths_of_their_own() -> None:
    verdicts = examine([SAMPLES], with_secrets=False).compiled.verdicts
    assert len({verdict.path for verdict in verdicts}) == len(FILES) > 30


def test_the_demo_runs_the_samples_themselves() -> None:
    shipped = sorted(Path(str(files("eventroute_cli").joinpath("demo", "routes"))).glob("*.yaml"))
    assert len(shipped) == 6
    assert [(SAMPLES / file.name).resolve() for file in shipped] == [file.resolve() for file in shipped]
