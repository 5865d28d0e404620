"""The Tiltfile, executed with stand-ins for Tilt's functions: what it names exists, in the tree and in the chart."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlark import StarlarkError

from eventroute.crd.manifest import load_manifests
from support.tilt import Recording, RefusedByTiltfileError, execute

ROOT = Path(__file__).parents[3]
TILTFILE = ROOT / "Tiltfile"
TEMPLATES = ROOT / "charts/eventroute/templates"
RELEASE = "eventroute"


@pytest.fixture(scope="module")
def tiltfile() -> Recording:
    return execute(TILTFILE, context="kind-eventroute")


def chart_values() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROOT / "charts/eventroute/values.yaml").read_text())
    return values


def rendering(tiltfile: Recording) -> list[str]:
    command: list[str] = tiltfile.of("local")[0]["command"]
    return command


@pytest.mark.parametrize("context", ["production", "gke_shop_europe-west1_main", "arn:aws:eks:eu:1:cluster/kind", ""])
def test_a_cluster_that_is_not_of_this_machine_is_refused_before_anything_is_asked_of_it(context: str) -> None:
    with pytest.raises(RefusedByTiltfileError, match="no local cluster"):
        execute(TILTFILE, context=context)


@pytest.mark.parametrize("context", ["kind-eventroute", "k3d-dev", "minikube", "docker-desktop"])
def test_clusters_of_this_machine_are_accepted(context: str) -> None:
    assert execute(TILTFILE, context=context).of("docker_build")


def test_each_program_has_an_image_by_the_name_that_the_chart_gives_it(tiltfile: Recording) -> None:
    built = {call["ref"] for call in tiltfile.of("docker_build")}
    used = set()
    for template in TEMPLATES.rglob("*.yaml"):
        text = template.read_text()
        own_name = re.search(r'\$name := "(\w+)"', text)
        for name in re.findall(r'include "eventroute\.image" \(list \$?\.? ?("?\$?\w+"?)\)', text):
            used.add("eventroute/" + (own_name[1] if name == "$name" and own_name else name.strip('"')))
    assert used == built
    assert chart_values()["image"]["registry"] == ""


def test_images_are_built_from_stages_and_files_that_exist(tiltfile: Recording) -> None:
    for call in tiltfile.of("docker_build"):
        recipe = (ROOT / call["dockerfile"]).read_text()
        assert f"FROM runtime AS {call['build_args']['PACKAGE']}" in recipe
        assert set(call["build_args"]) <= set(re.findall(r"^ARG (\w+)", recipe, re.MULTILINE))
        copied = {path for line in re.findall(r"^COPY (?!--)(.+) \S+$", recipe, re.MULTILINE) for path in line.split()}
        for path in copied:
            assert any(path.split("/")[0] == only for only in call["only"]), f"{path} is not in the context"
        for only in call["only"]:
            assert (ROOT / only).exists()


def test_live_update_copies_the_sources_of_the_program_and_of_core_and_restarts_it(tiltfile: Recording) -> None:
    updated = [call for call in tiltfile.of("docker_build") if call.get("live_update")]
    assert {call["build_args"]["PACKAGE"] for call in updated} == {"receiver", "worker", "operator"}
    for call in updated:
        steps = call["live_update"]
        assert [step["function"] for step in steps] == ["fall_back_on", "sync", "sync", "run"]
        for path in steps[0]["files"]:
            assert (ROOT / path).exists()
        packages = {child.name for step in steps[1:3] for child in (ROOT / step["local_path"]).iterdir()}
        assert {"eventroute", f"eventroute_{call['build_args']['PACKAGE']}"} <= packages
        assert {step["remote_path"] for step in steps[1:3]} == {"/tmp/app"}  # noqa: S108 - in the container
        assert "PYTHONPATH=/tmp/app" in call["entrypoint"][2]


def test_the_chart_is_rendered_with_values_that_it_knows_and_sees_the_keys_it_made_before(tiltfile: Recording) -> None:
    command = rendering(tiltfile)
    assert command[:4] == ["helm", "template", RELEASE, "charts/eventroute"]
    assert "--dry-run=server" in command
    assert command[command.index("--kube-context") + 1] == "kind-eventroute"
    values = yaml.safe_load((ROOT / command[command.index("--values") + 1]).read_text())
    _assert_known(values, chart_values())


def test_values_of_the_kind_cluster_are_known_to_the_chart() -> None:
    _assert_known(yaml.safe_load((ROOT / "k8s/kind-values.yaml").read_text()), chart_values())


def test_resources_and_ports_are_those_of_the_chart(tiltfile: Recording) -> None:
    for call in tiltfile.of("k8s_resource"):
        component = call["workload"].removeprefix(f"{RELEASE}-")
        workloads = [
            *(TEMPLATES / component).glob("deployment.yaml"),
            *(TEMPLATES / component).glob("statefulset.yaml"),
        ]
        assert len(workloads) == 1, call["workload"]
        ports = set(re.findall(r"containerPort: (\d+)", workloads[0].read_text()))
        for forward in call.get("port_forwards") or []:
            port = forward.split(":")[1] if isinstance(forward, str) else str(forward["container_port"])
            assert port in ports


def test_the_button_sends_to_the_route_that_is_applied_with_its_secret(tiltfile: Recording) -> None:
    commands = {call["name"]: call for call in tiltfile.of("local_resource")}
    applied = load_manifests([ROOT / commands["route"]["deps"][0]])
    assert not applied.problems
    [route], [secret] = applied.routes, applied.secrets
    button = commands["send a webhook"]
    assert button["trigger_mode"] == "manual"
    assert button["auto_init"] is False
    assert f"eventroute send {route.route.spec.provider} " in button["cmd"]
    assert f"/hooks/default/{route.route.metadata.name}" in button["cmd"]
    assert f"--secret {secret.data['secret'].reveal().decode()} " in button["cmd"]
    named = {call["workload"] for call in tiltfile.of("k8s_resource")} | set(commands)
    for call in commands.values():
        assert set(call["resource_deps"]) <= named


def test_the_restarting_entrypoint_begins_the_program_again_and_ends_with_it(
    tiltfile: Recording, tmp_path: Path
) -> None:
    """The shell's part for real, with a stand-in for the program that writes its number and waits."""
    entrypoint = tiltfile.of("docker_build")[0]["entrypoint"]
    (tmp_path / "image").mkdir()
    (tmp_path / "image/eventroute_receiver.py").write_text(
        "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    )
    script = entrypoint[2].replace("/tmp/", f"{tmp_path}/").replace("-r /app", f"-r {tmp_path}/image")  # noqa: S108
    python = shutil.which("python3")
    assert python
    (tmp_path / "python").symlink_to(python)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True, env=environ) as shell:
        assert shell.stdout
        first = int(shell.stdout.readline())
        assert (tmp_path / "program").read_text().strip() == str(first)
        os.kill(first, signal.SIGTERM)
        second = int(shell.stdout.readline())
        assert second != first
        shell.terminate()
        shell.wait(timeout=10)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{second}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{second}").exists()


@pytest.mark.parametrize("line", ["docker_biuld('a', '.')", "docker_build('a', '.', dokerfile='x')", "sync('a')(1)"])
def test_a_misspelt_tiltfile_does_not_pass(line: str, tmp_path: Path) -> None:
    (tmp_path / "Tiltfile").write_text(line)
    with pytest.raises(StarlarkError):
        execute(tmp_path / "Tiltfile", context="kind-eventroute")


def _assert_known(values: dict[str, Any], known: dict[str, Any], path: str = "") -> None:
    for key, value in values.items():
        assert key in known, f"{path}{key} is no value of the chart"
        if isinstance(value, dict):
            _assert_known(value, known[key], f"{path}{key}.")
