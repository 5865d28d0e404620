"""`k8s/kind.yaml`, loaded by kind itself: it decodes and judges a configuration before it asks Docker for anything."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KIND = Path(os.environ.get("KUBE_BIN") or Path.home() / ".cache/eventroute-e2e/bin") / "kind"


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    subprocess.run([str(ROOT / "tests/e2e/cluster/build.sh"), "kind"], check=True)


def create(config: Path, tmp_path: Path) -> tuple[str, bool]:
    """Let kind create a cluster with a docker that refuses everything; returns its words, and if it came so far."""
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\ntouch "{tmp_path}/asked"\nexit 1\n')
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KIND_EXPERIMENTAL_PROVIDER": "docker"}
    command = [str(KIND), "create", "cluster", "--config", str(config)]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return ended.stderr, (tmp_path / "asked").exists()


def test_kind_takes_the_configuration(tmp_path: Path) -> None:
    said, asked_docker = create(ROOT / "k8s/kind.yaml", tmp_path)
    assert asked_docker, said
    assert "failed to get docker info" in said


def test_kind_would_have_refused_a_misspelt_one(tmp_path: Path) -> None:
    misspelt = tmp_path / "kind.yaml"
    misspelt.write_text((ROOT / "k8s/kind.yaml").read_text().replace("nodes:", "nodez:"))
    said, asked_docker = create(misspelt, tmp_path)
    assert not asked_docker
    assert "nodez not found" in said
