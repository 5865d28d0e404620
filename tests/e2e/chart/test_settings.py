"""What settings of the chart do, one by one, and which are refused."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventroute.policy import Allowance, Policy
from support.chart import CHART, RefusedError, environment, helm, named, of_kind, pods, render


def variables(values: Mapping[str, Any], component: str) -> dict[str, Any]:
    (pod,) = (pod for pod in pods(render(values)) if pod.component == component)
    return {name: entry.get("value") for name, entry in environment(pod.containers[0]).items()}


def trigger(values: Mapping[str, Any]) -> dict[str, Any]:
    scaler = named(render({"autoscaling": {"mode": "keda"}, **values}), "ScaledObject", "ev-eventroute-worker")
    (found,) = scaler["spec"]["triggers"]
    return dict(found)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reciever": {}}, "additional properties 'reciever' not allowed"),
        ({"receiver": {"replica": 2}}, "additional properties 'replica' not allowed"),
        ({"receiver": {"replicas": 0}}, "minimum: got 0, want 1"),
        ({"receiver": {"replicas": "two"}}, "got string, want integer"),
        ({"autoscaling": {"mode": "on"}}, "value must be one of"),
        ({"tracing": {"ratio": 2}}, "maximum: got 2, want 1"),
        ({"tracing": {"endpoint": "collector:4318"}}, "does not match pattern"),
        ({"valkey": {"maxMemory": "512"}}, "does not match pattern"),
        ({"valkey": {"persistence": {"fsync": "no"}}}, "value must be one of"),
        ({"queue": {"retention": {"record": "1w"}}}, "does not match pattern"),
        ({"queue": {"groups": 0}}, "minimum: got 0, want 1"),
        ({"operator": {"namespaces": ["Shop"]}}, "does not match pattern"),
        ({"operator": {"policy": {"effort": "most"}}}, "value must be one of"),
        ({"operator": {"policy": {"namespaces": {"a": {"model": "b"}}}}}, "additional properties 'model' not allowed"),
        ({"valkey": {"enabled": False}}, "redis.urlSecret.name is required"),
        ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs is required"),
        ({"autoscaling": {"mode": "hpa", "worker": {"min": 0}}}, "only KEDA scales to 0"),
        ({"fullnameOverride": "No"}, "does not match pattern"),
    ],
)
def test_a_mistake_is_refused_with_the_setting_named(values: Mapping[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        render(values)


def test_the_chart_has_nothing_to_complain_about() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


def test_another_chart_can_contain_this_one(tmp_path: Path) -> None:
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts/eventroute").symlink_to(CHART)
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: around, version: 0.0.1}")
    (tmp_path / "values.yaml").write_text("{global: {team: platform}, eventroute: {receiver: {replicas: 4}}}")
    done = helm("template", "ev", str(tmp_path), "--show-only", "charts/eventroute/templates/receiver/deployment.yaml")
    assert "replicas: 4" in done.stdout, done.stderr


def test_with_the_simulator_workers_ask_it_with_the_key_that_it_takes() -> None:
    objects = render({"simulator": {"enabled": True}})
    worker = variables({"simulator": {"enabled": True}}, "worker")
    assert worker["EVENTROUTE_WORKER_ANTHROPIC_BASE_URL"] == "http://ev-eventroute-simulator.er.svc:8090"
    assert named(objects, "Secret", "ev-eventroute-anthropic")["stringData"] == {"api-key": "sk-ant-simulated"}


def test_without_a_key_workers_are_given_none() -> None:
    assert "EVENTROUTE_WORKER_ANTHROPIC_API_KEY_FILE" not in variables({}, "worker")


def test_another_key_in_its_secret_restarts_no_worker() -> None:
    def template(key: str) -> Any:
        objects = render({"worker": {"anthropic": {"apiKey": key}}})
        return named(objects, "Deployment", "ev-eventroute-worker")["spec"]["template"]

    assert template("one") == template("two"), "workers read it again"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 214_748_364),  # 2/5 of 512 MiB
        ({"valkey": {"maxMemory": "1000kb"}}, 409_600),
        ({"valkey": {"maxMemory": "3gb"}}, 1_288_490_188),
        ({"queue": {"maxBytes": 5_000_000_000}}, 5_000_000_000),
        ({"valkey": {"enabled": False}, "redis": {"urlSecret": {"name": "redis"}}}, 0),
    ],
)
def test_the_queue_may_take_two_fifths_of_the_charts_valkey_unless_told(
    values: Mapping[str, Any], expected: int
) -> None:
    assert variables(values, "receiver")["EVENTROUTE_RECEIVER_MAX_QUEUE_BYTES"] == str(expected)


@pytest.mark.parametrize("program", ["receiver", "worker", "operator"])
def test_every_program_splits_the_queue_alike(program: str) -> None:
    assert variables({"queue": {"groups": 4}}, program)[f"EVENTROUTE_{program.upper()}_GROUPS"] == "4"


def test_retention_is_told_to_workers_in_seconds() -> None:
    told = variables({"queue": {"retention": {"payload": "90s", "answer": "30m", "record": "2d"}}}, "worker")
    found = [told[f"EVENTROUTE_WORKER_KEEP_{what}_S"] for what in ("PAYLOAD", "ANSWER", "RECORD")]
    assert found == ["90", "1800", "172800"]


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_valkey_appends_to_disk_as_told(fsync: str) -> None:
    values = {"valkey": {"persistence": {"fsync": fsync}}}
    configuration = named(render(values), "ConfigMap", "ev-eventroute-valkey")["data"]["valkey.conf"]
    assert [line for line in configuration.splitlines() if line.startswith("append")] == [
        "appendonly yes",
        f"appendfsync {fsync}",
    ]


def test_traces_go_to_jaeger_or_where_they_are_sent_or_nowhere() -> None:
    endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert endpoint not in variables({}, "receiver")
    assert variables({"jaeger": {"enabled": True}}, "worker")[endpoint] == "http://ev-eventroute-jaeger.er.svc:4318"
    elsewhere = {"jaeger": {"enabled": True}, "tracing": {"endpoint": "http://c:4318", "ratio": 0.25}}
    assert variables(elsewhere, "receiver")[endpoint] == "http://c:4318"
    assert variables(elsewhere, "receiver")["OTEL_TRACES_SAMPLER_ARG"] == "0.25"


def test_workers_scale_by_the_load_that_receivers_tell() -> None:
    found = trigger({})
    assert found["type"] == "metrics-api"
    assert found["metadata"] == {
        "url": "http://ev-eventroute-receiver-probes.er.svc:8081/load",
        "valueLocation": "load",
        "targetValue": "10",
        "activationTargetValue": "0",
    }


@pytest.mark.parametrize(("calls", "target", "expected"), [(1, 0, "2"), (5, 0, "10"), (50, 0, "100"), (5, 3, "3")])
def test_a_workers_share_is_what_it_asks_about_and_as_much_that_waits_unless_said(
    calls: int, target: int, expected: str
) -> None:
    values = {"worker": {"concurrentCalls": calls}, "autoscaling": {"mode": "keda", "worker": {"target": target}}}
    assert trigger(values)["metadata"]["targetValue"] == expected


def test_the_operator_watches_all_namespaces_by_a_cluster_role_or_some_by_a_role_in_each() -> None:
    everywhere = render({})
    assert of_kind(everywhere, "ClusterRoleBinding")
    assert not of_kind(everywhere, "Role")
    some = render({"operator": {"namespaces": ["shop", "billing"]}})
    assert not of_kind(some, "ClusterRole")
    assert [role["metadata"]["namespace"] for role in of_kind(some, "Role")] == ["shop", "billing"]
    assert [role["metadata"]["namespace"] for role in of_kind(some, "RoleBinding")] == ["shop", "billing"]
    told = variables({"operator": {"namespaces": ["shop", "billing"]}}, "operator")
    assert told["EVENTROUTE_OPERATOR_NAMESPACES"] == "shop,billing"


def test_the_tests_route_is_where_the_operator_looks_with_the_labels_that_it_wants() -> None:
    objects = render({"operator": {"namespaces": ["shop"], "secretLabels": {"read": "yes"}}})
    (route,) = of_kind(objects, "EventRoute")
    assert route["metadata"]["namespace"] == "shop"
    secrets = [item for item in of_kind(objects, "Secret") if item["metadata"]["name"].endswith("-test")]
    assert {item["metadata"]["namespace"] for item in secrets} == {"shop", "er"}
    assert len({item["stringData"]["secret"] for item in secrets}) == 1
    assert all(item["metadata"]["labels"]["read"] == "yes" for item in secrets)


def test_a_policy_reaches_the_operator_as_it_is_written() -> None:
    policy = {"models": ["claude-haiku-*"], "maxTokens": 2_000_000, "namespaces": {"team-a": {"effort": "high"}}}
    text = variables({"operator": {"policy": policy}}, "operator")["EVENTROUTE_OPERATOR_POLICY"]
    assert Policy.model_validate_json(text) == Policy(
        models=("claude-haiku-*",), max_tokens=2_000_000, namespaces={"team-a": Allowance(effort="high")}
    )


@pytest.mark.parametrize(
    ("values", "asks"),
    [({}, False), ({"tests": {"callClaude": True}}, True), ({"simulator": {"enabled": True}}, True)],
)
def test_helm_test_costs_no_call_to_claude_unless_told(values: Mapping[str, Any], *, asks: bool) -> None:
    (route,) = of_kind(render(values), "EventRoute")
    assert route["spec"].get("suspend") == (None if asks else {"mode": "drop"})


def test_the_definition_is_the_generated_one_and_is_kept_unless_told() -> None:
    (crd,) = of_kind(render({}), "CustomResourceDefinition")
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    (gone,) = of_kind(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert not gone["metadata"].get("annotations")
    assert crd["spec"] == gone["spec"]


def test_an_upgrade_does_not_restart_valkey_unless_its_configuration_changed() -> None:
    def template(values: Mapping[str, Any]) -> Any:
        return of_kind(render(values), "StatefulSet")[0]["spec"]["template"]

    before = template({})
    assert template({"image": {"tag": "2"}, "worker": {"maxJobs": 5}}) == before
    assert template({"valkey": {"maxMemory": "1gb"}}) != before
    assert template({"valkey": {"persistence": {"fsync": "always"}}}) != before


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, None),
        (
            {"operator": {"hooksURL": "https://a.example/hooks"}, "ingress": {"enabled": True, "host": "b.example"}},
            "https://a.example/hooks",
        ),
        ({"ingress": {"enabled": True, "host": "b.example"}}, "http://b.example/hooks"),
        ({"ingress": {"enabled": True, "host": "b.example", "tlsSecret": "t"}}, "https://b.example/hooks"),
        (
            {"httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}], "hostnames": ["c.example"]}},
            "https://c.example/hooks",
        ),
    ],
)
def test_the_operator_tells_routes_the_url_that_the_values_give(values: Mapping[str, Any], url: str | None) -> None:
    assert variables(values, "operator").get("EVENTROUTE_OPERATOR_HOOKS_URL") == url


def test_the_values_of_the_page_about_proxies_are_taken() -> None:
    page = (CHART / "PROXIES.md").read_text(encoding="utf-8")
    samples = [yaml.safe_load(sample) for sample in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    assert len(samples) == 5
    for values in samples:
        ingresses = of_kind(render(values), "Ingress")
        wanted = values.get("ingress", {}).get("annotations")
        assert [each["metadata"].get("annotations") for each in ingresses] == [wanted] * ("ingress" in values)
