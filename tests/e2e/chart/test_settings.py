"""What settings of the chart do, one by one, and which are refused."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventroute.policy import Allowance, Policy
from eventroute.runtime.redis_url import parse_redis_url, with_password
from support.chart import (
    CHART,
    DIGEST,
    INSTALLATIONS,
    REGISTRY,
    RefusedError,
    environment,
    helm,
    named,
    of_kind,
    pods,
    render,
)


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
        ({"valkey": {"maxMemory": "512kb"}}, "does not match pattern"),
        ({"image": {"registry": ""}}, "image.registry is required, as a checkout comes without images: build them"),
        ({"image": {"registry": "registry example"}}, "does not match pattern"),
        ({"image": {"digests": {"worker": "0123"}}}, "does not match pattern"),
        ({"image": {"digests": {"jaeger": DIGEST}}}, "additional properties 'jaeger' not allowed"),
        ({"worker": {"pods": {"nodeSelektor": {}}}}, "additional properties 'nodeSelektor' not allowed"),
        ({"valkey": {"pods": {"extraVolumes": [{}]}}}, "missing property 'name'"),
        ({"pods": {"maxUnavailable": "half"}}, "does not match pattern"),
        ({"services": {"ipFamilies": ["IPv5"]}}, "value must be one of"),
        ({"receiver": {"service": {"nodePort": 30080}}}, "need receiver.service.type NodePort or LoadBalancer"),
        (
            {"receiver": {"service": {"type": "NodePort", "loadBalancerClass": "a"}}},
            "need receiver.service.type=LoadBalancer",
        ),
        ({"ingress": {"hosts": ["hooks.example.com"]}}, "got string, want object"),
        ({"ingress": {"hosts": [{"tlsSecret": "tls"}]}}, "missing property 'name'"),
        ({"autoscaling": {"receiver": {"cpu": "70%"}}}, "does not match pattern"),
        ({"networkPolicies": {"apiServerPorts": []}}, "minItems: got 0, want 1"),
        ({"extraObjects": [{"kind": "ConfigMap"}]}, "missing properties 'apiVersion', 'metadata'"),
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
    (tmp_path / "values.yaml").write_text(
        "{global: {team: platform}, eventroute: {receiver: {replicas: 4}, image: {registry: registry.example.com}}}"
    )
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
        ({"valkey": {"maxMemory": "10mb"}}, 4_194_304),
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
    def namespaces(values: Mapping[str, Any], kind: str) -> list[Any]:
        found = of_kind(render(values), kind)
        return [each["metadata"].get("namespace") for each in found if each["metadata"]["name"].endswith("-operator")]

    assert (namespaces({}, "ClusterRoleBinding"), namespaces({}, "Role")) == ([None], [])
    some = {"operator": {"namespaces": ["shop", "billing"]}}
    assert namespaces(some, "ClusterRole") == []
    assert namespaces(some, "Role") == namespaces(some, "RoleBinding") == ["shop", "billing"]
    told = variables({"operator": {"namespaces": ["shop", "billing"]}}, "operator")
    assert told["EVENTROUTE_OPERATOR_NAMESPACES"] == "shop,billing"


def test_operators_may_write_the_one_lease_that_they_are_told_of() -> None:
    told = variables({"fullnameOverride": "hooks"}, "operator")
    role = named(render({"fullnameOverride": "hooks"}), "Role", "hooks-operator-lease")
    changing, making = role["rules"]
    assert changing["resourceNames"] == [told["EVENTROUTE_OPERATOR_LEASE_NAME"]] == ["hooks-operator"]
    assert (changing["verbs"], making["verbs"]) == (["get", "patch"], ["create"])


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_rollout_of_the_operator_stops_the_one_before_once_the_next_is_ready(replicas: int) -> None:
    objects = render({"operator": {"replicas": replicas}})
    spec = named(objects, "Deployment", "ev-eventroute-operator")["spec"]
    assert spec["replicas"] == replicas
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budgets = {each["metadata"]["name"] for each in of_kind(objects, "PodDisruptionBudget")}
    assert ("ev-eventroute-operator" in budgets) == (replicas > 1), "one alone must not hold up a node's drain"


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
            {
                "operator": {"hooksURL": "https://a.example/hooks"},
                "ingress": {"enabled": True, "hosts": [{"name": "b.example"}]},
            },
            "https://a.example/hooks",
        ),
        ({"ingress": {"enabled": True, "hosts": [{"name": "b.example"}]}}, "http://b.example/hooks"),
        (
            {"ingress": {"enabled": True, "hosts": [{"name": "b.example", "tlsSecret": "t"}, {"name": "c.example"}]}},
            "https://b.example/hooks",
        ),
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


def images(values: Mapping[str, Any]) -> dict[str, str]:
    return {pod.component: pod.containers[0]["image"] for pod in pods(render(values))}


def test_images_come_from_the_registry_by_tag_or_by_digest() -> None:
    found = images({"image": {"tag": "7", "digests": {"worker": DIGEST, "operator": DIGEST}}})
    assert found["receiver"] == f"{REGISTRY}/eventroute/receiver:7"
    assert found["worker"] == f"{REGISTRY}/eventroute/worker@{DIGEST}"
    assert found["keys"] == found["operator"] == f"{REGISTRY}/eventroute/operator@{DIGEST}"
    assert images({"image": {"registry": "localhost:5000/team/"}})["test"] == "localhost:5000/team/eventroute/cli:0.1.0"


def test_what_users_may_do_is_the_charts_and_their_passwords_are_a_secrets() -> None:
    for values in ({}, {"valkey": {"existingSecret": "mine"}}):
        objects = render(values)
        files = named(objects, "ConfigMap", "ev-eventroute-valkey")["data"]
        assert files["users.acl"].strip() == (CHART / "files/users.acl").read_text(encoding="utf-8").strip()
        (pod,) = (pod for pod in pods(objects) if pod.component == "valkey")
        (volume,) = (volume for volume in pod.spec["volumes"] if volume["name"] == "passwords")
        assert volume["secret"]["secretName"] == values.get("valkey", {}).get("existingSecret", "ev-eventroute-valkey")
        assert not [item for item in of_kind(objects, "Secret") if item["metadata"]["name"] == "ev-eventroute-valkey"]


def test_without_a_cluster_an_installation_is_rendered_the_same_each_time() -> None:
    def rendered() -> list[Any]:
        done = helm("template", "ev", str(CHART), "--skip-tests", "--set", f"image.registry={REGISTRY}")
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(done.stdout))

    assert rendered() == rendered()


def test_keys_that_are_somebody_elses_are_not_made() -> None:
    both = {"tableKeys": {"existingSecret": "a"}, "valkey": {"existingSecret": "b"}}
    assert not [item for item in render(both) if item["metadata"]["name"].startswith("ev-eventroute-keys")]
    (pod,) = (pod for pod in pods(render({"tableKeys": {"existingSecret": "a"}})) if pod.component == "keys")
    told = environment(pod.containers[0])
    assert told["EVENTROUTE_KEYS_PASSWORDS"]["value"] == "ev-eventroute-valkey"
    assert "EVENTROUTE_KEYS_TABLE_KEYS" not in told


@pytest.mark.parametrize(
    ("memory", "limit", "volume"),
    [("512mb", "1Gi", "4Gi"), ("2gb", "4Gi", "16Gi"), ("100mb", "200Mi", "800Mi")],
)
def test_valkeys_memory_and_volume_follow_from_its_data(memory: str, limit: str, volume: str) -> None:
    objects = render({"valkey": {"maxMemory": memory}})
    (pod,) = (pod for pod in pods(objects) if pod.component == "valkey")
    resources = pod.containers[0]["resources"]
    assert resources == {"requests": {"cpu": "100m", "memory": limit}, "limits": {"memory": limit}}
    (claim,) = of_kind(objects, "PersistentVolumeClaim")
    assert claim["spec"]["resources"]["requests"]["storage"] == volume


def test_valkeys_memory_and_volume_may_be_said() -> None:
    sizes = {"limits": {"memory": "3Gi"}, "requests": {"memory": "2Gi"}}
    objects = render({"valkey": {"resources": sizes, "persistence": {"size": "10Gi"}}})
    (pod,) = (pod for pod in pods(objects) if pod.component == "valkey")
    assert pod.containers[0]["resources"]["limits"] == {"memory": "3Gi"}
    (claim,) = of_kind(objects, "PersistentVolumeClaim")
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"


def test_openshift_chooses_users_and_has_its_own_dns() -> None:
    objects = render({"openshift": True})
    for pod in pods(objects):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod.spec["securityContext"].keys()
    for policy in of_kind(objects, "NetworkPolicy"):
        if not policy["metadata"]["name"].endswith(("-worker", "-receiver", "-operator", "-keys", "-test")):
            continue
        (rule,) = (rule for rule in policy["spec"]["egress"] if {"protocol": "UDP", "port": 5353} in rule["ports"])
        (peer,) = rule["to"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "openshift-dns"}


def test_a_components_pods_are_said_over_what_is_said_of_all() -> None:
    values = {
        "pods": {
            "annotations": {"a": "1", "b": "1"},
            "nodeSelector": {"disk": "fast"},
            "livenessProbe": {"timeoutSeconds": 9},
        },
        "worker": {
            "pods": {
                "annotations": {"b": "2"},
                "nodeSelector": {"gpu": "none"},
                "livenessProbe": {"periodSeconds": 60},
                "tolerations": [{"key": "spot", "operator": "Exists", "tolerationSeconds": 3_600_000}],
                "priorityClassName": "low",
                "envFrom": [{"secretRef": {"name": "proxy"}}],
            }
        },
    }
    found = {pod.component: pod for pod in pods(render(values))}
    worker, receiver = found["worker"], found["receiver"]
    assert worker.metadata["annotations"] == {"a": "1", "b": "2"}
    assert receiver.metadata["annotations"] == {"a": "1", "b": "1"}
    assert (worker.spec["nodeSelector"], receiver.spec["nodeSelector"]) == ({"gpu": "none"}, {"disk": "fast"})
    assert worker.spec["tolerations"][0]["tolerationSeconds"] == 3_600_000
    assert worker.spec["priorityClassName"] == "low"
    assert "priorityClassName" not in receiver.spec
    assert worker.containers[0]["envFrom"] == [{"secretRef": {"name": "proxy"}}]
    probes = [pod.containers[0]["livenessProbe"] for pod in (worker, receiver)]
    assert [(probe["periodSeconds"], probe["timeoutSeconds"]) for probe in probes] == [(60, 5), (10, 9)]
    assert probes[0]["httpGet"] == {"path": "/livez", "port": "probes"}


def test_everything_that_the_values_say_of_pods_reaches_them() -> None:
    found = {pod.component: pod for pod in pods(render(INSTALLATIONS["everything"]))}
    worker, receiver = found["worker"], found["receiver"]
    assert worker.owner["spec"]["strategy"] == {"type": "Recreate"}
    assert worker.spec["runtimeClassName"] == "gvisor"
    assert {"name": "certificates", "configMap": {"name": "certificates"}} in worker.spec["volumes"]
    assert {"name": "certificates", "mountPath": "/etc/ssl/own"} in worker.containers[0]["volumeMounts"]
    assert [each["topologyKey"] for each in receiver.spec["topologySpreadConstraints"]] == ["rack"]
    assert len(worker.spec["topologySpreadConstraints"]) == 2
    for pod in found.values():
        if pod.owner["kind"] in {"Deployment", "StatefulSet"}:
            assert pod.owner["metadata"]["annotations"] == {"owner": "platform"}
    for account in of_kind(render(INSTALLATIONS["everything"]), "ServiceAccount"):
        assert account["metadata"]["annotations"]["owner"] == "platform"


def test_a_drain_may_take_a_quarter_of_the_pods_at_once_unless_said() -> None:
    def allowed(values: Mapping[str, Any]) -> dict[str, Any]:
        budgets = of_kind(render(values), "PodDisruptionBudget")
        return {each["metadata"]["name"].rpartition("-")[2]: each["spec"]["maxUnavailable"] for each in budgets}

    assert allowed({}) == {"receiver": "25%", "worker": "25%"}
    assert allowed({"receiver": {"pods": {"maxUnavailable": "1"}}}) == {"receiver": 1, "worker": "25%"}


@pytest.mark.parametrize("mode", ["hpa", "keda"])
def test_receivers_are_scaled_by_what_they_use_whatever_they_request(mode: str) -> None:
    objects = render({"autoscaling": {"mode": mode, "receiver": {"cpu": "700m"}}})
    if mode == "hpa":
        (metric,) = named(objects, "HorizontalPodAutoscaler", "ev-eventroute-receiver")["spec"]["metrics"]
        assert metric["resource"]["target"] == {"type": "AverageValue", "averageValue": "700m"}
    else:
        (by,) = named(objects, "ScaledObject", "ev-eventroute-receiver")["spec"]["triggers"]
        assert (by["metricType"], by["metadata"]) == ("AverageValue", {"value": "700m"})


def test_keda_that_learns_nothing_takes_no_worker_away() -> None:
    scaler = named(render({"autoscaling": {"mode": "keda"}}), "ScaledObject", "ev-eventroute-worker")
    assert scaler["spec"]["fallback"] == {"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"}


def test_services_have_the_families_that_are_wanted() -> None:
    wanted = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}
    values = {"services": wanted, "simulator": {"enabled": True}, "jaeger": {"enabled": True}}
    for service in of_kind(render(values), "Service"):
        assert wanted.items() <= service["spec"].items()
    for service in of_kind(render({}), "Service"):
        assert not wanted.keys() & service["spec"].keys()


def test_the_hooks_service_is_as_its_settings_say() -> None:
    spec = named(render(INSTALLATIONS["everything"]), "Service", "hooks-receiver")["spec"]
    assert spec["ports"] == [{"name": "hooks", "port": 80, "targetPort": "hooks", "nodePort": 30080}]
    assert spec["loadBalancerClass"] == "example.com/inner"
    assert spec["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert spec["externalTrafficPolicy"] == "Local"


def test_an_ingress_has_a_rule_for_each_host_and_a_certificate_for_those_that_name_one() -> None:
    (spec,) = (item["spec"] for item in of_kind(render(INSTALLATIONS["everything"]), "Ingress"))
    assert [rule["host"] for rule in spec["rules"]] == ["hooks.example.com", "other.example.com", "plain.example.com"]
    assert spec["tls"] == [{"secretName": "tls", "hosts": ["hooks.example.com", "other.example.com"]}]
    (any_host,) = (item["spec"] for item in of_kind(render({"ingress": {"enabled": True}}), "Ingress"))
    assert [list(rule) for rule in any_host["rules"]] == [["http"]]


def test_further_objects_are_made_as_they_are_written() -> None:
    extra = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mine"},
        "data": {"text": "{{ no template }}"},
    }
    assert named(render({"extraObjects": [extra]}), "ConfigMap", "mine") == extra


def test_by_tls_valkey_shows_its_certificate_and_programs_ask_for_it() -> None:
    values = {"valkey": {"tlsSecret": "valkey-tls"}}
    objects = render(values)
    configuration = named(objects, "ConfigMap", "ev-eventroute-valkey")["data"]["valkey.conf"].splitlines()
    assert "port 0" in configuration[configuration.index("port 6379") :], "the later one counts"
    assert "tls-port 6379" in configuration
    found = {pod.component: pod for pod in pods(objects)}
    mounts = {mount["name"]: mount["mountPath"] for mount in found["valkey"].containers[0]["volumeMounts"]}
    files = [line.split()[1] for line in configuration if line.startswith("tls-") and "-file" in line]
    assert {file.rpartition("/")[0] for file in files} == {mounts["tls"]}
    for program in ("receiver", "worker", "operator"):
        url = variables(values, program)[f"EVENTROUTE_{program.upper()}_REDIS_URL"]
        parsed = parse_redis_url(with_password(url, "secret"))
        assert parsed.addresses == (("ev-eventroute-valkey.er.svc", 6379),)
        assert parsed.tls
        (authority,) = (volume for volume in found[program].spec["volumes"] if volume["name"] == "redis-ca")
        assert authority["secret"]["secretName"] == "valkey-tls"
        assert parsed.tls.ca_certs == Path("/etc/eventroute/redis-ca") / authority["secret"]["items"][0]["path"]
