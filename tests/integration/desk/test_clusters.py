"""The commands against an installation in a cluster, with a stand-in for kubectl that records how it is called."""

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from support.acl_users import AclUsers
from support.command import Ended, command, run
from support.letters import end
from support.runs import sample_delivery

pytestmark = pytest.mark.real

KUBECTL = """#!{python}
import json, pathlib, sys, time
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
words = [word for word in sys.argv[1:] if not word.startswith("-")]
answer = json.loads((here / "answers.json").read_text()).get(" ".join(words[:2]) if words[0] == "get" else words[0])
if answer is None or "error" in answer:
    sys.exit((answer or {{}}).get("error", "no such thing"))
if "forward" not in answer:
    print(json.dumps(answer))
else:
    print(f"Forwarding from 127.0.0.1:{{answer['forward']}} -> 6379", flush=True)
    time.sleep(600)
"""


def labelled(kind: str, release: str = "er", **more: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/instance": release}
    return {"kind": kind, "metadata": {"name": f"{release}-eventroute-valkey", "labels": labels}, **more}


def stateful(release: str = "er") -> dict[str, Any]:
    volumes = [{"name": "configuration"}, {"name": "acl", "secret": {"secretName": "own-users"}}]
    return labelled("StatefulSet", release, spec={"template": {"spec": {"volumes": volumes}}})


class Cluster:
    """What the stand-in answers, and how it was asked."""

    def __init__(self, folder: Path, server: AclUsers) -> None:
        self.folder = folder
        folder.mkdir()
        program = folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable))
        program.chmod(0o755)
        url = server.url("desk").replace("127.0.0.1", "eventroute-valkey.eventroute.svc")
        self.answers: dict[str, Any] = {
            "get service,statefulset": {"items": [labelled("Service"), stateful()]},
            "get secret": {"data": {"desk-url": base64.b64encode(url.encode()).decode()}},
            "port-forward": {"forward": int(url.rpartition(":")[2].partition("/")[0])},
        }
        self._count = 0

    def __call__(self, *words: str, path: str | None = None) -> Ended:
        self.prepare()
        ended, left = run(*words, folder=self.place(), PATH=path or self.path)
        assert left == []
        return ended

    @property
    def path(self) -> str:
        return f"{self.folder}:{os.environ['PATH']}"

    def place(self) -> Path:
        self._count += 1
        return self.folder / f"run-{self._count}"

    def prepare(self) -> None:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]


@pytest.fixture
def cluster(server: AclUsers, tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "cluster", server)


async def test_an_installation_is_found_by_its_labels_and_left_again(redis: Redis, cluster: Cluster) -> None:
    await end(redis, sample_delivery("d-1"))
    ended = cluster("dead", "list", "--context", "prod", "-n", "hooks", "--release", "er", "-o", "json")
    assert ended.code == 0, ended.output
    assert [line["id"] for line in json.loads(ended.output)] == ["d-1"]
    head = ["--context=prod", "--namespace=hooks"]
    selector = "app.kubernetes.io/name=eventroute,app.kubernetes.io/component=valkey,app.kubernetes.io/instance=er"
    assert cluster.calls() == [
        [*head, "get", "service,statefulset", f"--selector={selector}", "--output=json"],
        [*head, "get", "secret", "own-users", "--output=json"],
        [*head, "port-forward", "--address=127.0.0.1", "service/er-eventroute-valkey", ":6379"],
    ]


async def test_a_namespace_is_enough_and_replays_work(redis: Redis, cluster: Cluster) -> None:
    await end(redis, sample_delivery("d-1"))
    assert cluster("dead", "replay", "d-1", "-n", "hooks").output == "1 of 1 replayed\n"
    assert cluster("runs", "list", "--context", "prod").code == 0
    assert cluster.calls()[-1][:2] == ["--context=prod", "--namespace=eventroute"]


async def test_a_command_that_is_killed_leaves_no_port_forward(redis: Redis, cluster: Cluster) -> None:
    cluster.prepare()
    with command("runs", "tail", "-n", "hooks", folder=cluster.place(), PATH=cluster.path) as running:
        running.until(lambda: any("port-forward" in line for line in running.children()))
        running.close()
        running.until_childless()


@pytest.mark.parametrize(
    ("what", "answer", "said"),
    [
        ("get service,statefulset", {"error": "Unable to connect to the server"}, "Unable to connect to the server"),
        ("get service,statefulset", {"items": []}, "no Valkey of an EventRoute installation"),
        (
            "get service,statefulset",
            {"items": [labelled("Service", "a"), labelled("Service", "b")]},
            "there are a, b; say which with --release",
        ),
        ("get service,statefulset", {"items": [labelled("Service")]}, "not as the chart makes it"),
        ("get secret", {"error": 'secrets "own-users" is forbidden'}, "is forbidden"),
        ("get secret", {"data": {"reader-url": ""}}, "Secret hooks/own-users has no key desk-url"),
        ("port-forward", {"error": "pod is not running"}, "pod is not running"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(cluster: Cluster, what: str, answer: Any, said: str) -> None:
    cluster.answers[what] = answer
    ended = cluster("runs", "list", "-n", "hooks")
    assert ended.code == 2
    assert said in ended.output
    assert "Traceback" not in ended.output


def test_without_kubectl_it_says_so(cluster: Cluster, tmp_path: Path) -> None:
    ended = cluster("runs", "list", "-n", "hooks", path=str(tmp_path))
    assert ended.code == 2
    assert "kubectl is not on PATH" in ended.output
