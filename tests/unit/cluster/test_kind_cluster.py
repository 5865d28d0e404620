"""The cluster of `CLUSTER=kind`, with stand-ins for kind and docker that write down what they were asked."""

from pathlib import Path

import pytest

from e2e.support import cluster as module
from e2e.support.cluster import cluster
from e2e.support.shell import Failed

STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "$JOURNAL"
[ "$*" != "get clusters" ] || cat "$CLUSTERS"
"""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("kind", "docker", "kubectl", "helm"):
        (tmp_path / name).write_text(STAND_IN)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "clusters").write_text("other\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setenv("CLUSTERS", str(tmp_path / "clusters"))
    monkeypatch.setattr(module, "CACHE", tmp_path)
    return tmp_path / "journal"


def test_the_user_s_kubeconfig_does_not_learn_of_it_and_it_is_taken_away(journal: Path) -> None:
    own = f"--name eventroute-e2e --kubeconfig {journal.parent / 'kind.kubeconfig'}"
    with cluster("kind", keep=False) as found:
        assert found.kubeconfig == journal.parent / "kind.kubeconfig"
        assert f"kind create cluster {own} --wait 120s" in journal.read_text().splitlines()
    assert journal.read_text().splitlines()[-1] == f"kind delete cluster {own}"


def test_one_that_is_kept_is_found_by_the_next_run(journal: Path) -> None:
    (journal.parent / "clusters").write_text("eventroute-e2e\n")
    with cluster("kind", keep=True):
        pass
    said = journal.read_text()
    assert "kind export kubeconfig --name eventroute-e2e" in said
    assert "create cluster" not in said
    assert "delete cluster" not in said


def test_it_is_taken_away_when_an_image_cannot_be_built(journal: Path) -> None:
    (journal.parent / "docker").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(Failed), cluster("kind", keep=False):
        pass
    assert "kind delete cluster" in journal.read_text().splitlines()[-1]
