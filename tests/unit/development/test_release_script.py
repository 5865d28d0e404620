"""The steps of a release, on a copy of the files that they read; what signs and pushes is stood in for."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[3]
READ: Final = (
    ".github",
    "charts/eventroute",
    "CHANGELOG.md",
    *(str(path.relative_to(ROOT)) for path in ROOT.glob("*/*/pyproject.toml") if "services" in path.parts),
    "operator/pyproject.toml",
)
SAID: Final = 'printf \'%s\\n\' "$(basename "$0") $*" >> "$SAID"\n'


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A clone whose changelog has a section for the version that everything has."""
    for name in READ:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    changes = tmp_path / "CHANGELOG.md"
    changes.write_text(f"# Changes\n\n## {version()}\n\n- Something.\n\n## 0.0.1\n\n- Something else.\n")
    return tmp_path


def version() -> str:
    found: str = yaml.safe_load((ROOT / "charts/eventroute/Chart.yaml").read_text())["appVersion"]
    return found


def release(copy: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [copy / ".github/release.sh", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def stand_in(copy: Path, name: str, script: str = "") -> None:
    """Put a program on PATH that notes how it was called."""
    folder = copy / "bin"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{SAID}{script}")
    (folder / name).chmod(0o755)


def test_a_tag_of_the_version_that_everything_has_is_released(copy: Path) -> None:
    said = release(copy, "version", f"v{version()}")
    assert (said.returncode, said.stdout) == (0, f"version={version()}\n"), said.stderr


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("charts/eventroute/Chart.yaml", 'appVersion: "', 'appVersion: "9', "appVersion is 9"),
        ("charts/eventroute/Chart.yaml", "\nversion: ", "\nversion: 9", "Chart.yaml: version is 9"),
        (
            "services/worker/pyproject.toml",
            'version = "',
            'version = "9',
            "services/worker/pyproject.toml: version is not",
        ),
        ("operator/pyproject.toml", 'version = "', 'version = "9', "operator/pyproject.toml: version is not"),
        ("CHANGELOG.md", f"## {version()}", "## Unreleased", 'CHANGELOG.md: no section "## '),
    ],
)
def test_what_does_not_agree_is_named(copy: Path, name: str, old: str, new: str, says: str) -> None:
    text = (copy / name).read_text()
    assert old in text
    (copy / name).write_text(text.replace(old, new, 1))
    said = release(copy, "version", f"v{version()}")
    assert said.returncode == 1
    assert says in said.stderr
    assert said.stdout == ""


@pytest.mark.parametrize("tag", ["v1", "main", "v1.2.3-rc1", "v1.2.3; id"])
def test_what_is_no_version_is_refused(copy: Path, tag: str) -> None:
    assert "is no tag of a release" in release(copy, "version", tag).stderr


def test_notes_are_the_section_of_the_version_and_no_other(copy: Path) -> None:
    assert release(copy, "notes", version()).stdout == "\n- Something.\n\n"


def test_an_image_is_for_both_architectures_with_sbom_and_provenance_and_signed_by_its_digest(copy: Path) -> None:
    said = copy / "said"
    note = (
        'while [ "$1" != --metadata-file ]; do shift; done\necho \'{"containerimage.digest": "sha256:abc"}\' > "$2"\n'
    )
    stand_in(copy, "docker", note)
    stand_in(copy, "cosign")
    stand_in(copy, "git", "echo 0123abc\n")
    path = f"{copy}/bin:{os.environ['PATH']}"
    done = release(copy, "image", "worker", "1.2.3", IMAGES="r.example.com/eventroute", SAID=str(said), PATH=path)
    assert done.returncode == 0, done.stderr
    _git, built, signed = said.read_text().splitlines()
    for part in (
        "--platform linux/amd64,linux/arm64",
        "--sbom=true",
        "--provenance=mode=max",
        "PACKAGE=worker",
        "REVISION=0123abc",
        "--tag r.example.com/eventroute/worker:1.2.3",
        "--push",
    ):
        assert part in built
    assert signed == "cosign sign --yes r.example.com/eventroute/worker@sha256:abc"


def test_the_chart_installs_the_images_of_its_release(copy: Path) -> None:
    said = copy / "said"
    stand_in(
        copy,
        "helm",
        'if [ "$1" = package ]; then cp "$2/values.yaml" "$SAID.yaml"; else echo "Digest: sha256:abc"; fi\n',
    )
    stand_in(copy, "cosign")
    places = {"IMAGES": "r.example.com/acme/eventroute", "CHARTS": "r.example.com/acme/charts"}
    path = f"{copy}/bin:{os.environ['PATH']}"
    done = release(copy, "chart", "1.2.3", SAID=str(said), PATH=path, **places)
    assert done.returncode == 0, done.stderr
    released, ours = (
        yaml.safe_load(file.read_text()) for file in (copy / "said.yaml", ROOT / "charts/eventroute/values.yaml")
    )
    assert released["image"] == {**ours["image"], "registry": "r.example.com/acme"}
    assert {**released, "image": None} == {**ours, "image": None}, "nothing else is changed"
    assert said.read_text().splitlines()[1:] == [
        f"helm push {said.read_text().split()[4]}/eventroute-1.2.3.tgz oci://r.example.com/acme/charts",
        "cosign sign --yes r.example.com/acme/charts/eventroute@sha256:abc",
    ]
