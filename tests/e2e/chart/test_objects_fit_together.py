"""Names, labels, selectors and ports of the chart's objects mean each other."""

from typing import Any

from support.chart import Object, of_kind, pods, render


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_every_object_carries_the_common_labels(objects: list[Object]) -> None:
    for item in objects:
        if item["kind"] == "CustomResourceDefinition":
            continue
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "eventroute"
        assert labels["app.kubernetes.io/instance"] == "ev"
        assert {f"app.kubernetes.io/{name}" for name in ("component", "version", "managed-by")} <= labels.keys()


def test_every_namespaced_object_says_its_namespace(objects: list[Object]) -> None:
    for item in objects:
        is_global = item["kind"] in {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
        assert ("namespace" in item["metadata"]) != is_global


def test_no_two_objects_have_one_name(objects: list[Object]) -> None:
    names = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    assert len(names) == len(set(names))


def test_workloads_select_their_own_pods_and_no_others(objects: list[Object]) -> None:
    everything = list(pods(objects))
    for pod in everything:
        if pod.owner["kind"] == "Pod":
            continue
        selector = pod.owner["spec"]["selector"]["matchLabels"]
        selected = [other.component for other in everything if selects(selector, other.metadata["labels"])]
        assert selected == [pod.component]
        assert "app.kubernetes.io/version" not in selector, "selectors cannot change with the version"


def test_every_service_leads_to_a_port_of_its_pods(objects: list[Object]) -> None:
    for service in of_kind(objects, "Service"):
        (pod,) = (pod for pod in pods(objects) if selects(service["spec"]["selector"], pod.metadata["labels"]))
        ports = {port["name"] for container in pod.containers for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_nothing_public_leads_to_the_probes(objects: list[Object]) -> None:
    services = {item["metadata"]["name"]: item for item in of_kind(objects, "Service")}
    public: list[Any] = [
        path["backend"]["service"]["name"]
        for ingress in of_kind(objects, "Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    public += [
        backend["name"]
        for route in of_kind(objects, "HTTPRoute")
        for rule in route["spec"]["rules"]
        for backend in rule["backendRefs"]
    ]
    for name in public:
        assert [port["name"] for port in services[name]["spec"]["ports"]] == ["hooks"]


def test_every_budget_and_scaler_has_its_workload(objects: list[Object]) -> None:
    workloads = {item["metadata"]["name"]: item for item in of_kind(objects, "Deployment")}
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        for scaler in of_kind(objects, kind):
            workload = workloads[scaler["spec"]["scaleTargetRef"]["name"]]
            assert "replicas" not in workload["spec"], "Helm must not undo what the scaler does"
    for budget in of_kind(objects, "PodDisruptionBudget"):
        selector = budget["spec"]["selector"]["matchLabels"]
        assert any(selects(selector, pod.metadata["labels"]) for pod in pods(objects))


def test_secrets_that_pods_mount_are_made_here_or_named_by_the_values(objects: list[Object]) -> None:
    given = {"keys", "redis", "redis-ca", "claude", "valkey"}  # of the settings that these tests use
    made = {
        (item["metadata"]["name"], key)
        for item in of_kind(objects, "Secret")
        for key in {**item.get("data", {}), **item.get("stringData", {})}
    }
    for pod in pods(objects):
        for volume in pod.spec["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                secret = source["secret"]
                assert secret["name"] in given or all((secret["name"], item["key"]) in made for item in secret["items"])


def test_a_claim_that_a_pod_mounts_is_made_here(objects: list[Object]) -> None:
    claims = {item["metadata"]["name"] for item in of_kind(objects, "PersistentVolumeClaim")}
    mounted = [volume for pod in pods(objects) for volume in pod.spec["volumes"] if "persistentVolumeClaim" in volume]
    assert {volume["persistentVolumeClaim"]["claimName"] for volume in mounted} == claims


def test_names_begin_with_the_release_or_with_what_replaces_it() -> None:
    services = {item["metadata"]["name"] for item in of_kind(render({}), "Service")}
    assert "ev-eventroute-receiver" in services
    assert "eventroute-receiver" in {
        i["metadata"]["name"] for i in of_kind(render({}, release="eventroute"), "Service")
    }
    assert "hooks-receiver" in {
        i["metadata"]["name"] for i in of_kind(render({"fullnameOverride": "hooks"}), "Service")
    }


def test_names_stay_within_their_limit() -> None:
    longest = {"autoscaling": {"mode": "keda"}, "jaeger": {"enabled": True}, "simulator": {"enabled": True}}
    for item in render(longest, release="r" * 53):
        assert len(item["metadata"]["name"]) <= (54 if item["kind"] == "ScaledObject" else 63)
