"""The chart in a real API server: everything is accepted, keys survive, and little is left behind."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from support.api_server import BIN, ApiServer
from support.chart import CHART, INSTALLATIONS, helm, pods, render
from support.waiting import until

DEFINITION = "crd/eventroutes.eventroute.dev"

Helm = Callable[..., str]


@pytest.fixture
def namespace(api: ApiServer) -> Iterator[str]:
    """A namespace that admits nothing but restricted pods."""
    name = f"t{os.urandom(4).hex()}"
    api.kubectl("create", "namespace", name)
    api.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    helm("uninstall", "ev", "--namespace", name, "--kubeconfig", str(api.kubeconfig))


@pytest.fixture
def run(api: ApiServer, namespace: str) -> Helm:
    """Run Helm on the release `ev` of the test's namespace; it must not fail."""

    def _run(verb: str, *arguments: str, into: str = namespace) -> str:
        done = helm(verb, "ev", *arguments, "--namespace", into, "--kubeconfig", str(api.kubeconfig))
        assert done.returncode == 0, done.stderr
        return done.stdout

    return _run


async def until_served(api: ApiServer) -> None:
    """Wait until EventRoutes can be listed, as an API server may never finish deleting a definition before that."""
    await until(lambda: api.try_kubectl("get", "eventroutes", "-A").returncode == 0)


@pytest.fixture(autouse=True)
async def without_definition(api: ApiServer) -> None:
    """Begin each test with a cluster that nobody has installed EventRoute in."""
    if api.try_kubectl("get", DEFINITION).returncode == 0:
        await until_served(api)
        api.kubectl("delete", DEFINITION, "--wait")


def secrets(api: ApiServer, namespace: str) -> dict[str, Any]:
    found = json.loads(api.kubectl("get", "secrets", "-n", namespace, "-o", "json"))["items"]
    return {item["metadata"]["name"]: item["data"] for item in found if not item["type"].startswith("helm.sh/")}


@pytest.mark.parametrize("name", INSTALLATIONS, ids=lambda name: name.replace(" ", "-"))
async def test_the_api_server_accepts_every_object(api: ApiServer, name: str) -> None:
    objects = render(INSTALLATIONS[name])
    for namespace in {item["metadata"].get("namespace") for item in objects} - {None}:
        api.try_kubectl("create", "namespace", str(namespace))
    api.kubectl("apply", "-f", str(next((CHART / "files/crds").glob("*.yaml"))))
    await until_served(api)
    ours = [item for item in objects if item["kind"] not in {"CustomResourceDefinition", "Pod"}]
    said = api.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(ours))
    assert said.count(" serverside-applied (server dry run)\n") == len(ours) > 0


def test_a_restricted_namespace_admits_every_pod(api: ApiServer, namespace: str, run: Helm) -> None:
    values = {"simulator": {"enabled": True}, "jaeger": {"enabled": True}}
    run("install", str(CHART), "--set", "simulator.enabled=true,jaeger.enabled=true")
    for pod in pods(render(values)):
        name = f"try-{pod.component}"
        metadata = {"name": name, "namespace": namespace, "labels": pod.metadata["labels"]}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod.spec}
        said = api.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(manifest))
        assert said == f"pod/{name} created (server dry run)\n"


def test_an_upgrade_keeps_keys_and_passwords(api: ApiServer, namespace: str, run: Helm) -> None:
    run("install", str(CHART))
    before = secrets(api, namespace)
    run("upgrade", str(CHART), "--set", "simulator.enabled=true,worker.replicas=5")
    after = secrets(api, namespace)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("change", ["valkey.persistence.enabled=false", "valkey.maxMemory=1gb,receiver.drainSeconds=0"])
def test_an_upgrade_may_change_what_was_set_at_first(run: Helm, change: str) -> None:
    run("install", str(CHART))
    assert "REVISION: 2" in run("upgrade", str(CHART), "--set", change)
    assert "REVISION: 3" in run("upgrade", str(CHART))


def test_uninstalling_leaves_definition_keys_and_data_and_a_new_release_takes_them_up(
    api: ApiServer, namespace: str, run: Helm
) -> None:
    run("install", str(CHART))
    before = secrets(api, namespace)
    run("uninstall")
    kinds = "deployments,statefulsets,services,configmaps,serviceaccounts,networkpolicies,roles,rolebindings,pdb"
    left = json.loads(api.kubectl("get", kinds, "-n", namespace, "-o", "json"))["items"]
    assert [item["metadata"]["name"] for item in left if item["metadata"]["name"] != "kube-root-ca.crt"] == []
    assert secrets(api, namespace) == before
    api.kubectl("get", DEFINITION)
    api.kubectl("get", "pvc/ev-eventroute-valkey", "-n", namespace)
    assert "eventroute" not in api.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    run("install", str(CHART))
    assert secrets(api, namespace) == before


async def test_without_keep_the_definition_goes_with_the_release(api: ApiServer, run: Helm) -> None:
    run("install", str(CHART), "--set", "crds.keep=false")
    await until_served(api)
    run("uninstall")
    api.kubectl("wait", "--for=delete", DEFINITION, "--timeout=20s")
    assert "NotFound" in api.try_kubectl("get", DEFINITION).stderr


def test_the_notes_say_what_is_missing_and_what_comes_next(namespace: str, run: Helm) -> None:
    notes = run("install", str(CHART), "--set", "valkey.persistence.enabled=false")
    assert "No key for Claude is set" in notes
    assert "Valkey has no volume" in notes
    assert f"helm test ev -n {namespace}" in notes
    assert "No key" not in run("upgrade", str(CHART), "--set", "simulator.enabled=true")


def test_the_commands_of_the_notes_work_when_they_are_pasted_as_they_stand(
    api: ApiServer, namespace: str, run: Helm
) -> None:
    labels = "operator.secretLabels.team=hooks"
    notes = run("install", str(CHART), "--set", f"operator.namespaces={{{namespace}}},{labels}")
    lines = notes.partition("Next:\n")[2].splitlines()
    commands = "\n".join(line for line in lines if line.startswith("  ") and "helm test" not in line)
    run_with = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "KUBECONFIG": str(api.kubeconfig)}
    done = subprocess.run(["/bin/sh", "-ec", commands], env=run_with, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "triage" in done.stdout.splitlines()[-1]
    assert list(secrets(api, namespace)["github-webhook"]) == ["secret"]
    assert api.kubectl("get", "secret", "-l", "team=hooks", "-n", namespace, "-o", "name") == "secret/github-webhook\n"


def test_two_installations_of_one_name_stand_in_two_namespaces(api: ApiServer, namespace: str, run: Helm) -> None:
    other = f"{namespace}-2"
    api.kubectl("create", "namespace", other)
    run("install", str(CHART), "--set", f"operator.namespaces={{{namespace}}}")
    run("install", str(CHART), "--set", f"operator.namespaces={{{other}}},crds.enabled=false", into=other)
    mine, theirs = (secrets(api, name)["ev-eventroute-table-keys"] for name in (namespace, other))
    assert mine != theirs
    run("uninstall", into=other)
    assert "ev-eventroute-receiver" in api.kubectl("get", "deployments", "-n", namespace, "-o", "name")


def test_the_operator_may_do_what_it_needs_and_no_more(api: ApiServer, namespace: str, run: Helm) -> None:
    run("install", str(CHART), "--set", f"operator.namespaces={{{namespace}}}")

    def may(verb: str, resource: str, where: str, part: str = "") -> bool:
        account = f"--as=system:serviceaccount:{namespace}:ev-eventroute-operator"
        question = ["auth", "can-i", verb, resource, f"--subresource={part}", "-n", where, account]
        return api.try_kubectl(*question).returncode == 0

    assert may("list", "secrets", namespace)
    assert may("watch", "eventroutes.eventroute.dev", namespace)
    assert may("patch", "eventroutes.eventroute.dev", namespace, "status")
    assert not may("patch", "eventroutes.eventroute.dev", namespace)
    assert not may("create", "secrets", namespace)
    assert not may("list", "secrets", "default")
    assert not may("list", "pods", namespace)
