"""Every pod of the chart runs under the restricted Pod Security Standard, says what it needs, and can be watched."""

from support.chart import Object, environment, pods

PROGRAMS = {"receiver", "worker", "operator"}


def test_no_pod_can_become_root_or_write_to_its_image(objects: list[Object]) -> None:
    for pod in pods(objects):
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_only_the_operator_can_talk_to_kubernetes(objects: list[Object]) -> None:
    with_token = {pod.component for pod in pods(objects) if pod.spec["automountServiceAccountToken"]}
    assert with_token == {"operator"}
    accounts = {item["metadata"]["name"]: item for item in objects if item["kind"] == "ServiceAccount"}
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    assert {pod.spec["serviceAccountName"] for pod in pods(objects)} == set(accounts)


def test_every_container_says_what_it_needs(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod.containers:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
            assert "cpu" not in container["resources"]["limits"], "a limit would slow down what the node has time for"


def test_every_lasting_container_is_probed(objects: list[Object]) -> None:
    for pod in pods(objects):
        if pod.owner["kind"] == "Pod":
            continue
        for container in pod.containers:
            named = {port["name"] for port in container["ports"]}
            for probe in ("livenessProbe", "readinessProbe"):
                handler = container[probe].get("httpGet") or container[probe]["tcpSocket"]
                assert handler["port"] in named


def test_secrets_are_files_and_never_variables(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod.containers:
            assert not container.get("envFrom")
            for name, entry in environment(container).items():
                assert "secretKeyRef" not in entry.get("valueFrom", {}), name
                if any(word in name for word in ("REDIS_URL", "TABLE_KEY", "API_KEY")):
                    assert name.endswith("_FILE")


def test_each_program_is_given_its_own_secrets_only(objects: list[Object]) -> None:
    expected = {
        "receiver": {"redis-url", "table-key"},
        "worker": {"redis-url", "table-key", "anthropic-api-key"},
        "operator": {"redis-url", "receiver-table-key", "worker-table-key"},
    }
    for pod in pods(objects):
        if pod.component not in expected:
            continue
        (volume,) = (volume for volume in pod.spec["volumes"] if volume["name"] == "secrets")
        items = [item for source in volume["projected"]["sources"] for item in source["secret"]["items"]]
        assert {item["path"] for item in items} <= expected[pod.component]
        for item in items:
            others = PROGRAMS - {pod.component} if pod.component != "operator" else set()
            assert not any(item["key"].startswith(other) for other in others)


def test_the_files_that_variables_name_are_mounted(objects: list[Object]) -> None:
    for pod in pods(objects):
        files = set()
        for volume in pod.spec["volumes"]:
            sources = volume.get("projected", {}).get("sources", [])
            files |= {item["path"] for source in sources for item in source["secret"]["items"]}
        for container in pod.containers:
            folders = {mount["mountPath"] for mount in container["volumeMounts"]}
            for name, entry in environment(container).items():
                if name.endswith("_FILE"):
                    folder, _, file = entry["value"].rpartition("/")
                    assert folder in folders
                    assert file in files


def test_a_worker_has_longer_to_end_than_its_grace_and_that_is_longer_than_a_call(objects: list[Object]) -> None:
    for pod in pods(objects):
        if pod.component == "worker":
            grace_s = float(environment(pod.containers[0])["EVENTROUTE_WORKER_GRACE_S"]["value"])
            assert 120 < grace_s < pod.spec["terminationGracePeriodSeconds"]


def test_a_receiver_accepts_until_nobody_sends_to_it_any_more(objects: list[Object]) -> None:
    for pod in pods(objects):
        if pod.component == "receiver":
            container = pod.containers[0]
            drain_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            grace_s = int(environment(container)["EVENTROUTE_RECEIVER_SHUTDOWN_GRACE_S"]["value"])
            assert drain_s + grace_s < pod.spec["terminationGracePeriodSeconds"]
            assert pod.owner["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
