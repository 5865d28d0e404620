"""`k8s/kind.sh`, with stand-ins for docker, kind and kubectl that write down what they were asked."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "k8s/kind.sh"
PROGRAMS = ("receiver", "worker", "operator", "cli")

STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "$JOURNAL"
case "$(basename "$0") $*" in
    "docker inspect "*) [ -e "$STATE/running" ] && echo true || exit 1 ;;
    "docker start "*) exit 1 ;;
    "docker exec -i "* | "kubectl "*) cat >> "$JOURNAL" ;;
    "kind get clusters") cat "$STATE/clusters" 2>/dev/null ;;
    "kind get nodes "*) echo eventroute-control-plane ;;
    "docker info") [ ! -e "$STATE/no-daemon" ] ;;
esac
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    for name in ("docker", "kind", "kubectl"):
        program = tmp_path / name
        program.write_text(STAND_IN)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for name in ("bash", "basename", "cat", "dirname", "grep", "sed"):  # and no tool of this machine besides
        found = shutil.which(name)
        assert found, name
        (tmp_path / name).symlink_to(found)
    return tmp_path


def run(tools: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    journal = tools / "journal"
    journal.write_text("")
    environ = {"PATH": str(tools), "JOURNAL": str(journal), "STATE": str(tools)}
    ended = subprocess.run([str(SCRIPT), *arguments], env=environ, capture_output=True, text=True, check=False)
    return ended, journal.read_text().splitlines()


def test_up_makes_registry_cluster_and_ingress_and_pushes_an_image_of_each_program(tools: Path) -> None:
    ended, asked = run(tools, "up")
    assert ended.returncode == 0, ended.stderr
    assert any(line.startswith("docker run") and "127.0.0.1:5001:5000" in line for line in asked)
    assert "kind create cluster --config k8s/kind.yaml --wait 120s" in asked
    assert '[host."http://eventroute-registry:5000"]' in asked
    version = yaml.safe_load((ROOT / "charts/eventroute/Chart.yaml").read_text())["appVersion"]
    pushed = [line.split()[-1] for line in asked if line.startswith("docker push")]
    assert pushed == [f"localhost:5001/eventroute/{program}:{version}" for program in PROGRAMS]
    assert "helm install eventroute charts/eventroute" in ended.stdout
    (manifest,) = [word for word in ended.stdout.split() if word.startswith("k8s/") and "values" not in word]
    assert (ROOT / manifest).read_text().startswith("# A first route and its secret")


def test_what_up_finds_is_left_alone(tools: Path) -> None:
    (tools / "running").touch()
    (tools / "clusters").write_text("other\neventroute\n")
    ended, asked = run(tools, "up")
    assert ended.returncode == 0, ended.stderr
    assert not [line for line in asked if line.startswith(("docker run", "docker rm", "kind create"))]


def test_the_values_for_its_cluster_name_its_registry() -> None:
    values = yaml.safe_load((ROOT / "k8s/kind-values.yaml").read_text())
    assert values["image"]["registry"] == "localhost:5001"


def test_down_removes_what_up_made_and_nothing_else(tools: Path) -> None:
    ended, asked = run(tools, "down")
    assert ended.returncode == 0, ended.stderr
    assert [line for line in asked if line != "docker info"] == [
        "kind delete cluster --name eventroute",
        "docker rm -f eventroute-ingress eventroute-registry",
    ]


def test_a_missing_tool_is_named(tools: Path) -> None:
    (tools / "kind").unlink()
    ended, _ = run(tools, "up")
    assert ended.returncode == 1
    assert "kind is missing" in ended.stderr


def test_a_docker_without_its_daemon_is_said_before_anything_is_made(tools: Path) -> None:
    (tools / "no-daemon").touch()
    ended, asked = run(tools, "up")
    assert ended.returncode == 1
    assert "docker does not answer" in ended.stderr
    assert asked == ["docker info"]


@pytest.mark.parametrize("arguments", [(), ("sideways",)])
def test_anything_else_is_answered_with_the_usage(tools: Path, arguments: tuple[str, ...]) -> None:
    ended, asked = run(tools, *arguments)
    assert ended.returncode == 1
    assert "usage" in ended.stderr
    assert not asked
