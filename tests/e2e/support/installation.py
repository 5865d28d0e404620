"""EventRoute as its users have it: installed by Helm in a namespace, fed with manifests and with signed webhooks."""

import base64
import contextlib
import copy
import json
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import httpx
import redis
import yaml

from e2e.support.cluster import Cluster
from e2e.support.shell import ROOT, Failed
from eventroute.ids import DeliveryId
from eventroute.queue import Group
from eventroute.schemes import SCHEMES, Request, generate_secret, sign
from eventroute_cli.samples import build_request, load_sample

CHART: Final = ROOT / "charts/eventroute"
_SMALL: Final = {"resources": {"requests": {"cpu": "20m"}}}
TRIAL: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("receiver", "worker", "operator", "valkey"), _SMALL),
    "simulator": {"enabled": True, "args": ["--latency=0"], **_SMALL},
    "jaeger": {"enabled": True, **_SMALL},
}
"""Values: no key, no cost, traces to look at, and room for several installations on a node of two cores."""

GROUP: Final = Group(0)
"""Of every installation's queue, which is one group unless the values say otherwise."""

_RELEASE: Final = "eventroute"
_READY_S: Final = 120
_SOON_S: Final = 30.0
_POLL_S: Final = 0.1
_SHOWN_LINES: Final = 40

Found = TypeVar("Found")


class Installation:
    """One release in one namespace; everything that a test does to it goes through here."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        """Take a namespace, which need not exist yet; nothing is installed."""
        self.cluster = cluster
        self.namespace = namespace
        self._reached = contextlib.ExitStack()
        self._addresses: dict[tuple[str, int], str] = {}
        self._client = self._reached.enter_context(httpx.Client(timeout=30))
        self.signing: dict[str, bytes] = {}
        """What each route's provider signs with, by the route's name; `add_route` fills it."""

    # --- Helm and manifests ---------------------------------------------------------------------------------------

    def create_namespace(self) -> None:
        """Make the namespace, in which Kubernetes refuses every pod that is not restricted."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}})
        self.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=30s")  # pods are refused before

    def install(self, values: Mapping[str, Any] | None = None, *, wait: bool = True) -> str:
        """`helm install`; returns what it said. `values` go over those that the cluster needs."""
        return self._helm("install", values or {}, wait=wait)

    def upgrade(self, values: Mapping[str, Any] | None = None, *, wait: bool = True) -> str:
        """`helm upgrade` with exactly these values."""
        return self._helm("upgrade", values or {}, wait=wait)

    def test(self, timeout_s: float = _READY_S) -> str:
        """`helm test`; returns what it said, raises `Failed` when the test did."""
        how_long = ("--timeout", f"{timeout_s:g}s")
        return self.cluster.helm("test", _RELEASE, "--namespace", self.namespace, *how_long)

    def uninstall(self) -> None:
        """`helm uninstall`; returns when its pods are gone."""
        self.cluster.helm("uninstall", _RELEASE, "--namespace", self.namespace, "--wait", "--timeout", "180s")
        self.close()

    def close(self) -> None:
        """Let go of connections."""
        self._reached.close()
        self._addresses.clear()
        self._client = self._reached.enter_context(httpx.Client(timeout=30))

    def _helm(self, verb: str, values: Mapping[str, Any], *, wait: bool) -> str:
        # The resource's definition stays when a release goes, and belongs to the next one then.
        options = ["--take-ownership", "--namespace", self.namespace, *(["--wait"] if wait else [])]
        own = {"operator": {"namespaces": [self.namespace]}}  # installations of other tests may be on the cluster
        merged = merge(merge(self.cluster.chart_values, own), values)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(merged, file)
            file.flush()
            timeout = ["--timeout", f"{_READY_S}s"]
            return self.cluster.helm(verb, _RELEASE, str(CHART), "--values", file.name, *options, *timeout)

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin, timeout_s=timeout_s)

    def get(self, *arguments: str) -> Any:
        """Ask for objects of the namespace."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def apply(self, *manifests: Mapping[str, Any] | str) -> None:
        """`kubectl apply` of objects, or of YAML text."""
        texts = [item if isinstance(item, str) else yaml.safe_dump(dict(item)) for item in manifests]
        namespaced = () if "kind: Namespace" in texts[0] else ("--namespace", self.namespace)
        self.cluster.kubectl(*namespaced, "apply", "--filename", "-", stdin="\n---\n".join(texts))

    def add_route(self, name: str, provider: str, **spec: Any) -> None:
        """Apply a route with a new secret of its own, and wait until it is ready.

        spec  fields over the usual ones: a prompt for everything, answers to the stream `answers`
        """
        self.apply(*self.manifests(name, provider, **spec))
        self.wait_ready(name)

    def manifests(self, name: str, provider: str, **spec: Any) -> list[dict[str, Any]]:
        """Write what `add_route` applies: a Secret and a route."""
        pair = generate_secret(SCHEMES[provider])
        self.signing[name] = pair.signing
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-hook"}}
        return [
            {**secret, "data": {"secret": base64.b64encode(pair.configured).decode()}},
            {
                "apiVersion": "eventroute.dev/v1alpha1",
                "kind": "EventRoute",
                "metadata": {"name": name},
                "spec": {
                    "provider": provider,
                    "secretRefs": [{"name": f"{name}-hook", "key": "secret"}],
                    "prompts": [{"events": ["*"], "system": "Say in one sentence what happened."}],
                    "sinks": [{"stream": {"name": "answers"}}],
                    **spec,
                },
            },
        ]

    def patch_route(self, name: str, **spec: Any) -> None:
        """Change fields of a route's spec."""
        self.kubectl("patch", "eventroute", name, "--type=merge", "--patch", json.dumps({"spec": spec}))

    def wait_ready(self, name: str, timeout_s: float = _SOON_S) -> None:
        """Wait for a route's condition Ready."""
        self.kubectl("wait", "--for=condition=Ready", f"eventroute/{name}", f"--timeout={timeout_s:g}s")

    def wait_served(self, name: str) -> None:
        """Wait until every receiver and worker has a route as it is written now."""
        generation = self.route(name)["metadata"]["generation"]
        wanted = {"receiver": generation, "worker": generation}
        until(lambda: self.route(name)["status"].get("programmed") == wanted, f"{name} served at {generation}")

    def route(self, name: str) -> Any:
        """Ask for a route."""
        return self.get("eventroute", name)

    def condition(self, route: str, kind: str) -> tuple[str, str]:
        """Look up a route's condition; returns its status and its reason."""
        found = next(each for each in self.route(route)["status"]["conditions"] if each["type"] == kind)
        return found["status"], found["reason"]

    # --- Pods -----------------------------------------------------------------------------------------------------

    def pods(self, component: str) -> list[str]:
        """Name the pods of a component that are not on their way out."""
        found = self.get("pods", "--selector", f"app.kubernetes.io/component={component}")["items"]
        return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def addresses(self, component: str) -> set[str]:
        """Tell the addresses of a component's pods that are not on their way out."""
        found = self.get("pods", "--selector", f"app.kubernetes.io/component={component}")["items"]
        return {pod["status"]["podIP"] for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def kill(self, pod: str) -> None:
        """Delete a pod as a lost node would: at once, without a word to its process."""
        self.kubectl("delete", "pod", pod, "--grace-period=0", "--force")

    def scale(self, component: str, replicas: int) -> None:
        """Set a Deployment's number of pods and wait for them; with 0, until they are gone."""
        self.kubectl("scale", f"deployment/{_RELEASE}-{component}", f"--replicas={replicas}")
        self.rolled_out(component)
        if replicas == 0:
            selector = f"app.kubernetes.io/component={component}"
            self.kubectl("wait", "--for=delete", "pod", "--selector", selector, "--timeout=200s", timeout_s=210)

    def wait_gone(self, pods: Sequence[str]) -> None:
        """Wait until these pods are no more."""
        self.kubectl("wait", "--for=delete", *(f"pod/{pod}" for pod in pods), "--timeout=200s", timeout_s=210)

    def starts(self, component: str) -> dict[str, int]:
        """Count how often the containers of each of a component's pods were started again, by the pod's uid."""
        found = self.get("pods", "--selector", f"app.kubernetes.io/component={component}")["items"]
        return {
            pod["metadata"]["uid"]: sum(each["restartCount"] for each in pod["status"]["containerStatuses"])
            for pod in found
        }

    def rolled_out(self, component: str) -> None:
        """Wait until a Deployment's pods are the new ones, all ready."""
        self.kubectl("rollout", "status", f"deployment/{_RELEASE}-{component}", "--timeout=200s", timeout_s=210)

    def logs(self, component: str, lines: int = -1) -> str:
        """Read the logs of a component's pods."""
        selector = f"app.kubernetes.io/component={component}"
        return self.kubectl("logs", "--selector", selector, "--tail", str(lines), "--prefix", "--all-containers")

    # --- Webhooks and what becomes of them ------------------------------------------------------------------------

    def reach(self, component: str, port: int) -> str:
        """Reach a Service of the release from here; returns `host:port`, which holds until `close`."""
        if (component, port) not in self._addresses:
            address = self.cluster.address(self.namespace, f"{_RELEASE}-{component}", port)
            self._addresses[component, port] = self._reached.enter_context(address)
        return self._addresses[component, port]

    def hook_url(self, route: str) -> str:
        """Say where a provider posts to."""
        return f"http://{self.reach('receiver', 80)}/hooks/{self.namespace}/{route}"

    def signed(
        self, route: str, provider: str, *, event: str = "", forge: bool = False, key: bytes | None = None
    ) -> Request:
        """Make a fresh webhook of a provider, signed for a route that `add_route` made, or with another key."""
        now = time.time()
        key = generate_secret(SCHEMES[provider]).signing if forge else key or self.signing[route]
        return sign(
            SCHEMES[provider], build_request(load_sample(provider, event, now=now), url=None), secret=key, now=now
        )

    def post(self, route: str, request: Request) -> httpx.Response:
        """Send a webhook, byte for byte."""
        return self.post_to(self.hook_url(route), request)

    def post_to(self, url: str, request: Request) -> httpx.Response:
        """Send a webhook somewhere else than to one of the routes here."""
        return self._client.post(url, headers=list(request.headers), content=request.body)

    def send(
        self, route: str, provider: str, *, event: str = "", forge: bool = False, key: bytes | None = None
    ) -> httpx.Response:
        """Send a fresh signed webhook."""
        return self.post(route, self.signed(route, provider, event=event, forge=forge, key=key))

    def redis(self, user: str) -> "redis.Redis":
        """Connect to the chart's Valkey as one of its users, which may do what that user may and no more."""
        secret = self.get("secret", f"{_RELEASE}-valkey")["data"]
        password = base64.b64decode(secret[f"{user}-password"]).decode()
        host, _, port = self.reach("valkey", 6379).partition(":")
        return redis.Redis(host=host, port=int(port), username=user, password=password, decode_responses=True)

    def queued(self) -> int:
        """Count the deliveries that have not ended."""
        return int(self.redis("worker").hget(GROUP.usage, "depth") or 0)

    def record(self, delivery: str, field: str) -> str | None:
        """Read a field of what is known of a delivery."""
        found: str | None = self.redis("worker").hget(GROUP.delivery(DeliveryId(delivery)), field)
        return found

    def answers(self, stream: str = "answers") -> list[dict[str, str]]:
        """Read the entries of a stream sink, oldest first."""
        entries = self.redis("reader").xrange(GROUP.stream(self.namespace, stream))
        return [fields for _, fields in entries]

    def answer(self, delivery: str, stream: str = "answers", timeout_s: float = _SOON_S) -> dict[str, str]:
        """Wait for the answer to a delivery; returns its entry."""
        return until(
            lambda: next((entry for entry in self.answers(stream) if entry["delivery"] == delivery), None),
            f"an answer to {delivery} in {stream}",
            timeout_s,
        )

    def outcome(self, delivery: str) -> str | None:
        """Say how a delivery ended; None while it has not."""
        return self.record(delivery, "outcome")

    def calls(self) -> list[dict[str, Any]]:
        """List what the simulator was asked, oldest first."""
        found: list[dict[str, Any]] = self._client.get(
            f"http://{self.reach('simulator', 8090)}/simulator/requests"
        ).json()
        return found

    def fault(self, **fault: Any) -> None:
        """Script what the simulator does with coming requests; the fields are those of its faults."""
        self._client.post(f"http://{self.reach('simulator', 8090)}/simulator/faults", json=fault).raise_for_status()

    def limit(self, **limits: Any) -> None:
        """Let other rate limits hold at the simulator; the fields are those of its `LimitChange`."""
        address = f"http://{self.reach('simulator', 8090)}/simulator/limits"
        self._client.patch(address, json=limits).raise_for_status()

    def calm(self) -> None:
        """Make the simulator's answers ordinary again, and its list of calls empty."""
        for forgotten in ("faults", "requests"):
            self._client.delete(f"http://{self.reach('simulator', 8090)}/simulator/{forgotten}").raise_for_status()

    def spans(self, trace_id: str, *, of_redis: bool = False) -> list[dict[str, Any]]:
        """Ask Jaeger for a trace's spans, with their services' names: our own, or those of commands to Redis."""
        answer = self._client.get(f"http://{self.reach('jaeger', 16686)}/api/traces/{trace_id}").json()
        return [
            {**span, "service": trace["processes"][span["processID"]]["serviceName"]}
            for trace in answer.get("data") or []
            for span in trace["spans"]
            if of_redis is any(tag["key"].startswith("db.") for tag in span["tags"])
        ]

    # --- When something went wrong --------------------------------------------------------------------------------

    def diagnostics(self) -> str:
        """Gather what one would look at first: pods, Events, routes, and the logs of each component."""
        parts = [
            self._said("get", "pods,eventroutes", "--output", "wide"),
            self._said("get", "events", "--sort-by=.lastTimestamp"),
            *(
                self._said("logs", "--selector", f"app.kubernetes.io/component={component}", "--prefix", *_LOGS)
                for component in ("operator", "receiver", "worker", "valkey", "simulator")
            ),
        ]
        return "\n\n".join(parts)

    def _said(self, *arguments: str) -> str:
        try:
            text = self.kubectl(*arguments)
        except Failed as error:
            text = str(error)
        shown = [line[:300] for line in text.splitlines()[-2 * _SHOWN_LINES :]]
        return "\n".join([f"$ kubectl {' '.join(arguments)}", *shown])


_LOGS: Final = ("--all-containers", "--tail", str(_SHOWN_LINES), "--ignore-errors")


def new_namespace(word: str = "pods") -> str:
    """Make up a namespace's name."""
    return f"er-{word}-{secrets.token_hex(3)}"


def until(look: Callable[[], Found | None], what: str, timeout_s: float = _SOON_S) -> Found:
    """Look until something is there that is neither None nor False; fails with what was waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(_POLL_S)


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay values over others, as Helm does."""
    merged = copy.deepcopy(dict(under))
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
