"""Keys and passwords are made once, in the cluster, by a Job that may touch them and nothing else."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from eventroute import acl
from eventroute.sealed import SealKey
from support.api_server import ApiServer
from support.chart import CHART, REGISTRY, Object, helm, of_kind, render
from support.hook_jobs import run_job

TABLE_KEYS, PASSWORDS = "ev-eventroute-table-keys", "ev-eventroute-valkey"
KINDS = "all,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,pdb,pvc"
MAKING = ("Job", "Role", "RoleBinding", "ServiceAccount")

Secrets = dict[str, dict[str, str]]


@pytest.fixture
def namespace(api: ApiServer) -> Iterator[str]:
    name = f"t{os.urandom(4).hex()}"
    api.kubectl("create", "namespace", name)
    yield name
    api.kubectl("delete", "namespace", name, "--wait=false")


def apply(api: ApiServer, namespace: str, *settings: str) -> Object:
    """`helm template | kubectl apply`, as whoever has no Helm in the cluster does; returns the Job."""
    values = [f"image.registry={REGISTRY}", "crds.enabled=false", *settings]
    arguments = [argument for value in values for argument in ("--set", value)]
    done = helm("template", "ev", str(CHART), "--namespace", namespace, "--skip-tests", *arguments)
    assert done.returncode == 0, done.stderr
    api.kubectl("apply", "-f", "-", stdin=done.stdout)
    (name,) = (item["metadata"]["name"] for item in yaml.safe_load_all(done.stdout) if item and item["kind"] == "Job")
    found: Object = json.loads(api.kubectl("get", "job", name, "-n", namespace, "-o", "json"))
    return found


def secrets(api: ApiServer, namespace: str) -> Secrets:
    found = json.loads(api.kubectl("get", "secrets", "-n", namespace, "-o", "json"))["items"]
    return {item["metadata"]["name"]: item["data"] for item in found}


def component(item: Object) -> str | None:
    label: str | None = item["metadata"].get("labels", {}).get("app.kubernetes.io/component")
    return label


def made(ended: "subprocess.CompletedProcess[str]") -> list[str]:
    """List the keys that a run has made, as its log says."""
    assert ended.returncode == 0, ended.stdout + ended.stderr
    events = [json.loads(line) for line in (ended.stdout + ended.stderr).splitlines() if line.startswith("{")]
    return [
        f"{event['secret']}/{key}" for event in events if event["event"] == "keys_complete" for key in event["made"]
    ]


def versions(api: ApiServer, namespace: str) -> dict[str, str]:
    """Tell the version of every object of the chart, which a change of nothing leaves as it is."""
    found = json.loads(api.kubectl("get", KINDS, "-n", namespace, "-o", "json"))["items"]
    return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in found}


def test_rendered_twice_and_applied_twice_nothing_changes(api: ApiServer, namespace: str) -> None:
    job = apply(api, namespace)
    assert secrets(api, namespace) == {}
    assert made(run_job(api, job))
    before, keys = versions(api, namespace), secrets(api, namespace)
    job = apply(api, namespace)
    assert made(run_job(api, job)) == []
    assert versions(api, namespace) == before
    assert secrets(api, namespace) == keys


def test_another_image_is_another_job_and_the_same_keys(api: ApiServer, namespace: str) -> None:
    first = apply(api, namespace)
    made(run_job(api, first))
    before = secrets(api, namespace)
    second = apply(api, namespace, "image.tag=v2")
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert made(run_job(api, second)) == []
    assert secrets(api, namespace) == before


def test_keys_are_whole_and_each_is_another_one(api: ApiServer, namespace: str) -> None:
    made(run_job(api, apply(api, namespace)))
    found = {
        name: {key: base64.b64decode(text).decode() for key, text in data.items()}
        for name, data in secrets(api, namespace).items()
    }
    assert found[PASSWORDS].keys() == {f"{user}-password" for user in acl.rules()}
    assert all(len(password) >= 32 for password in found[PASSWORDS].values())
    keys = [SealKey.from_text(found[TABLE_KEYS][plane]) for plane in ("receiver", "worker")]
    assert all(key.open(key.seal(b"route", context="c"), context="c") == b"route" for key in keys)
    everything = [text for data in found.values() for text in data.values()]
    assert len({*everything}) == len(everything)


def test_what_a_secret_lacks_is_added_and_the_rest_stays(api: ApiServer, namespace: str) -> None:
    job = apply(api, namespace)
    made(run_job(api, job))
    before = secrets(api, namespace)
    patch = json.dumps([{"op": "remove", "path": "/data/desk-password"}])
    api.kubectl("patch", "secret", PASSWORDS, "-n", namespace, "--type=json", "-p", patch)
    assert made(run_job(api, job)) == [f"{namespace}/{PASSWORDS}/desk-password"]
    after = secrets(api, namespace)
    assert after[PASSWORDS].pop("desk-password") != before[PASSWORDS].pop("desk-password")
    assert after == before


def test_a_secret_that_somebody_made_by_hand_keeps_what_it_says(api: ApiServer, namespace: str) -> None:
    api.kubectl("create", "secret", "generic", PASSWORDS, "--from-literal=worker-password=mine", "-n", namespace)
    assert f"{namespace}/{PASSWORDS}/worker-password" not in made(run_job(api, apply(api, namespace)))
    assert base64.b64decode(secrets(api, namespace)[PASSWORDS]["worker-password"]) == b"mine"


def test_of_two_at_once_each_key_is_made_by_one(api: ApiServer, namespace: str) -> None:
    job = apply(api, namespace)
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: run_job(api, job), range(2)))
    keys = [key for run in runs for key in made(run)]
    assert sorted(keys) == sorted({*keys})
    assert len(keys) == 2 + len(acl.rules())


def test_who_makes_keys_may_do_nothing_else(api: ApiServer, namespace: str) -> None:
    job = apply(api, namespace)
    made(run_job(api, job))

    def may(verb: str, what: str) -> bool:
        account = f"--as=system:serviceaccount:{namespace}:ev-eventroute-keys"
        return api.try_kubectl("auth", "can-i", verb, what, "-n", namespace, account).returncode == 0

    assert may("get", f"secrets/{TABLE_KEYS}")
    for verb, what in [
        ("create", "secrets"),
        ("list", "secrets"),
        ("get", "secrets/other"),
        ("delete", f"secrets/{TABLE_KEYS}"),
    ]:
        assert not may(verb, what)
    assert not may("get", "configmaps")
    other: dict[str, Any] = json.loads(json.dumps(job).replace(TABLE_KEYS, "other"))
    other["spec"]["template"]["spec"]["containers"][0]["env"].append(
        {"name": "EVENTROUTE_KEYS_PATIENCE_S", "value": "0"}
    )
    ended = run_job(api, other)
    assert ended.returncode != 0
    assert f"Secret {namespace}/other: 403 secrets" in ended.stdout + ended.stderr
    assert "other" not in secrets(api, namespace)


def test_no_label_or_owner_makes_a_secret_a_part_of_the_release(api: ApiServer, namespace: str) -> None:
    made(run_job(api, apply(api, namespace)))
    for name in (TABLE_KEYS, PASSWORDS):
        metadata = json.loads(api.kubectl("get", "secret", name, "-n", namespace, "-o", "json"))["metadata"]
        assert "ownerReferences" not in metadata
        assert metadata["labels"] == {
            "app.kubernetes.io/name": "eventroute",
            "app.kubernetes.io/managed-by": "eventroute-keys",
        }


def test_helm_argo_cd_and_flux_run_it_before_everything_else() -> None:
    made_before = [item for item in render({}) if component(item) == "keys"]
    assert {*MAKING, "NetworkPolicy"} == {item["kind"] for item in made_before}
    for item in made_before:
        annotations = item["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        assert (int(annotations["helm.sh/hook-weight"]) == -5) is (item["kind"] == "Job")
    assert len(of_kind(made_before, "Job")) == 1
