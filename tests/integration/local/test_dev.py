"""`eventroute dev` serves a directory of manifests, and serves it again after each change."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from signal import SIGINT

import httpx
import pytest
from redis import Redis

from eventroute.queue import FIRST
from eventroute_cli.local.processes import free_port
from support.command import Command, command, run
from support.own_valkey import own_valkey
from support.receiving import pull_request, signed

pytestmark = pytest.mark.real

ROUTE = """\
apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {{name: {name}, namespace: team-a}}
spec:
  provider: github
  secretRefs: [{{name: hook, key: secret}}]
  prompts:
    - system: Summarize.
      user: "{text}"
"""
OLD, NEW = "the-first-secret-of-all", "the-second-secret-of-all"
SOON_S = 4.0  # two seconds are promised; a busy machine gets twice as much


@dataclass
class Site:
    """A folder of manifests that is being served."""

    running: Command
    folder: Path
    env_file: Path
    port: int
    sent: int = 0
    accepted: list[str] = field(default_factory=list)
    """Deliveries of which nobody has looked whether they have ended."""

    def begin_anew(self) -> None:
        """Make it as it was at first: one route, the old secret, nothing under way, nothing said."""
        allow(self.env_file, OLD)
        for file in self.folder.iterdir():
            file.unlink()
        mark = f"begun-anew-{self.sent}"
        save(self.folder, "triage", text=mark)
        self.running.until(lambda: mark in self.answer())
        self.running.until(lambda: all(delivery in self.running.output() for delivery in self.accepted))
        self.accepted.clear()
        self.running.forget()

    def answer(self) -> str:
        """Send an event to `triage`; returns the line of its answer, or nothing if it is not accepted."""
        if self.post("triage") != HTTPStatus.OK:
            return ""
        ended = f"succeeded  {self.accepted[-1]}"
        self.running.until_said(ended)
        return next(line for line in self.running.output().splitlines() if ended in line)

    def post(self, route: str, secret: str = OLD) -> int:
        """Send a signed event that was never sent before; returns the status."""
        self.sent += 1
        request = signed(
            "github", pull_request(self.sent), event="pull_request", delivery=f"dev-{self.sent}", secret=secret
        )
        url = f"http://127.0.0.1:{self.port}/hooks/team-a/{route}"
        answer = httpx.post(url, content=request.body, headers=request.headers)
        if answer.status_code == HTTPStatus.OK:
            self.accepted.append(answer.json()["delivery"])
        return answer.status_code

    def serves(self, route: str) -> bool:
        """Tell whether a route accepts events."""
        return self.post(route) == 200

    def has_said(self, pattern: str) -> bool:
        """Tell whether something stands in a line of the output."""
        return re.search(pattern, self.running.output(), re.MULTILINE) is not None

    def assert_soon(self, condition: Callable[[], bool]) -> None:
        """Wait until a change is felt, and make sure that it did not take long."""
        saved = time.monotonic()
        self.running.until(condition)
        assert time.monotonic() - saved < SOON_S


def save(folder: Path, name: str, text: str = "A pull request.") -> Path:
    """Save a manifest as editors do: written beside, then moved into place."""
    beside = folder / f".{name}.swp"
    beside.write_text(ROUTE.format(name=name, text=text))
    return beside.replace(folder / f"{name}.yaml")


def allow(env_file: Path, secret: str) -> None:
    """Write the file of secrets in place, as a shell does."""
    env_file.write_text(f"team-a/hook/secret={secret}\n")


@contextlib.contextmanager
def serving(place: Path) -> Iterator[Site]:
    """Serve a folder with one route while the block runs."""
    folder, env_file, port = place / "routes", place / "secrets.env", free_port()
    folder.mkdir()
    save(folder, "triage")
    allow(env_file, OLD)
    options = ("-f", str(folder), "--env-file", str(env_file), "--port", str(port))
    with command("dev", *options, folder=place) as running:
        running.until_said("in another terminal")
        yield Site(running, folder, env_file, port)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """A folder that is served for the tests of the module, one by one, and what was said at the start."""
    with serving(tmp_path_factory.mktemp("dev")) as site:
        yield site, site.running.output()


@pytest.fixture
def site(started: tuple[Site, str]) -> Site:
    """The served folder as it was at first."""
    site, _ = started
    site.begin_anew()
    return site


def test_a_receipt_and_its_answer_are_shown_as_lines(site: Site) -> None:
    assert site.post("triage") == 200
    site.running.until_said("[simulated]")
    feed = [line for line in site.running.output().splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert re.search(rf"team-a/triage  pull_request.opened  queued  dev-{site.sent}  \d+\.\d ms$", feed[0])
    assert re.search(r"team-a/triage  pull_request.opened  succeeded  d-\w+  \[simulated\]", feed[1])
    assert len(feed) == 2


def test_a_refused_request_is_shown_with_its_reason(site: Site) -> None:
    assert site.post("triage", NEW) == 401
    site.running.until_said("unauthenticated  mismatch")


def test_a_request_without_a_route_is_shown_with_its_path(site: Site) -> None:
    assert site.post("triaje") == 404
    site.running.until_said("/hooks/team-a/triaje  unknown_route")


def test_routes_come_and_go_with_their_files(site: Site) -> None:
    assert site.post("second") == 404
    save(site.folder, "second")
    site.assert_soon(partial(site.serves, "second"))
    assert site.post("triage") == 200
    (site.folder / "triage.yaml").unlink()
    site.assert_soon(
        lambda: site.post("triage") == 503
    )  # 404 would make some providers give up a route that may come back
    assert site.post("second") == 200
    save(site.folder, "triage")
    site.assert_soon(partial(site.serves, "triage"))


def test_a_suspended_route_says_so_and_its_events_wait(site: Site) -> None:
    file = save(site.folder, "triage")
    file.write_text(f"{file.read_text()}  suspend: {{mode: hold}}\n")
    site.running.until_said("/hooks/team-a/triage  suspended: events are held")
    assert site.post("triage") == 200
    site.running.until_said("queued")
    save(site.folder, "second")
    site.running.until_said("serving 2 of 2 routes")
    assert site.post("second") == 200
    site.running.until_said("team-a/second  pull_request.opened  succeeded")
    assert "team-a/triage  pull_request.opened  succeeded" not in site.running.output()
    save(site.folder, "triage")
    site.running.until_said("team-a/triage  pull_request.opened  succeeded")


def test_a_changed_prompt_is_what_claude_is_asked(site: Site) -> None:
    save(site.folder, "triage", text="Tell me about the word-that-was-added.")
    site.running.until_said("serving 1 of 1 route")
    assert "word-that-was-added" in site.answer()


def test_a_mistake_is_shown_as_lint_shows_it_and_the_last_good_routes_stay(site: Site) -> None:
    file = save(site.folder, "triage", text="{{ payload.title")
    linted = run("lint", str(site.folder), "--env-file", str(site.env_file), folder=site.folder.parent / "lint")[0]
    (finding,) = [line for line in linted.output.splitlines() if "error" in line and str(file) in line]
    site.assert_soon(lambda: "the routes from before stay in service" in site.running.output())
    assert finding in site.running.output()
    assert site.post("triage") == 200
    (site.folder / "triage.yaml").write_text("{")
    site.running.until_said("the routes from before stay in service", times=2)
    assert site.post("triage") == 200
    save(site.folder, "triage")
    site.running.until_said("serving 1 of 1 route")


def test_a_rotated_secret_is_taken_and_the_old_one_is_not(site: Site) -> None:
    assert site.post("triage", NEW) == 401
    allow(site.env_file, NEW)
    site.assert_soon(lambda: site.post("triage", NEW) == 200)
    assert site.post("triage", OLD) == 401


def test_a_single_file_is_followed_through_several_saves(tmp_path: Path, unused_port: int) -> None:
    allow(tmp_path / "secrets.env", OLD)
    file = save(tmp_path, "first")
    options = ("-f", str(file), "--env-file", str(tmp_path / "secrets.env"), "--port", str(unused_port))
    with command("dev", *options, folder=tmp_path) as running:
        running.until_said("/hooks/team-a/first")
        site = Site(running, tmp_path, tmp_path / "secrets.env", unused_port)
        for name in ("second", "third"):
            save(tmp_path, name).replace(file)
            site.assert_soon(partial(site.serves, name))


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        site.running.send(SIGINT)
        ended = site.running.end()
        assert (ended.code, site.running.left_behind()) == (130, [])
    assert "Traceback" not in ended.output


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    ended, left = run("dev", "-f", str(tmp_path / "rutes"), folder=tmp_path)
    assert f"no such file or directory: {tmp_path / 'rutes'}" in ended.output
    assert (ended.code, left) == (2, [])


CAUSES = """\
apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {name: causes, namespace: team-a}
spec:
  provider: custom
  custom: {kind: token, signature: "header:x-token", id: ["header:x-id"], event: ["body:type"]}
  secretRefs: [{name: hook, key: secret}]
  filter: payload.type != "unwanted"
  entity: payload.who.id
  prompts:
    - {events: [condition.false], when: payload.n == 1, system: A.}
    - {events: [condition.fails], when: payload.gone == 1, system: B.}
    - {events: [render], system: C., user: "{{ payload.type | truncate: payload.n }}"}
    - {events: [missing], system: D., user: "{{ payload.sendr.login }}"}
"""


def test_the_line_of_a_run_says_why(site: Site) -> None:
    (site.folder / "causes.yaml").write_text(CAUSES)
    site.running.until_said("serving 2 of 2 routes")
    url = f"http://127.0.0.1:{site.port}/hooks/team-a/causes"
    for position, event in enumerate(
        ("unknown", "condition.false", "condition.fails", "render", "missing", "unwanted")
    ):
        headers = {"x-token": OLD, "x-id": f"c-{position}"}
        body = {"type": event, "n": "x" if event == "render" else 2}
        assert httpx.post(url, json=body, headers=headers).status_code == 200
    for said in (
        r"unknown  discarded  no_prompt; entity: missing_field  d-\w+$",
        r"condition\.false  discarded  no_prompt; prompts\[0\]\.when is false; entity: missing_field  d-\w+$",
        r"condition\.fails  discarded  no_prompt; prompts\[1\]\.when: missing_field; entity: missing_field  d-\w+$",
        r"render  dead  render  prompts\[2\]\.user: truncate expected an integer, found str; .*  d-\w+$",
        r"missing  succeeded  entity: missing_field; missing in the event: payload\.sendr\.login  d-\w+  ",
        r"unwanted  filtered  c-5  \d",
    ):
        site.running.until(partial(site.has_said, said))


def test_what_would_command_the_terminal_is_left_out(site: Site) -> None:
    (site.folder / "causes.yaml").write_text(CAUSES)
    site.running.until_said("serving 2 of 2 routes")
    url = f"http://127.0.0.1:{site.port}/hooks/team-a/causes"
    body = {"type": "odd\x1b]0;title\x07\x9b2J\u202e", "n": 2}
    assert httpx.post(url, json=body, headers={"x-token": OLD, "x-id": "o-1"}).status_code == 200
    site.running.until_said("odd]0;title2J  discarded")
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(site.running.output())


def test_an_event_without_an_id_is_told_of_once(site: Site) -> None:
    (site.folder / "causes.yaml").write_text(CAUSES)
    site.running.until_said("serving 2 of 2 routes")
    for number in range(2):
        body = {"type": "unknown", "n": number}
        url = f"http://127.0.0.1:{site.port}/hooks/team-a/causes"
        assert httpx.post(url, json=body, headers={"x-token": OLD}).status_code == 200
    site.running.until_said("discarded", times=2)
    assert site.running.output().count("the event has no id: spec.custom.id (header:x-id) finds nothing in it.") == 1


def test_it_names_its_addresses_and_is_found_by_other_commands(started: tuple[Site, str], site: Site) -> None:
    addresses = re.findall(r"(http://\S+/(?:metrics|simulator/requests))", started[1])
    assert [httpx.get(address).status_code for address in addresses] == [200] * 3
    assert site.answer()
    event = f"dev-{site.sent}"
    same = {"TMPDIR": str(site.folder.parent / "tmp")}
    listed, _ = run("runs", "list", "-o", "json", folder=site.folder.parent / "look", **same)
    assert [line["outcome"] for line in json.loads(listed.output) if line["provider_id"] == event] == ["succeeded"]
    story, _ = run("explain", event, folder=site.folder.parent / "explain", **same)
    assert f"(its id there: {event})" in " ".join(story.output.split())
    assert "as succeeded: claude-" in " ".join(story.output.split())


def test_answers_that_are_written_back_with_their_markers_come_to_an_end(
    tmp_path: Path, unused_port: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    allow(tmp_path / "secrets.env", OLD)
    file = save(tmp_path, "triage")
    file.write_text(f"{file.read_text()}  maxHops: 2\n  sinks: [{{stream: {{name: comments}}}}]\n")
    options = ("-f", str(file), "--env-file", str(tmp_path / "secrets.env"), "--port", str(unused_port))
    with (
        own_valkey(tmp_path_factory.mktemp("valkey")) as valkey,
        command("dev", *options, folder=tmp_path, REDIS_URL=valkey.url) as running,
    ):
        running.until_said("/hooks/team-a/triage")
        text = "Why does it fail?"
        for number in range(2):
            comment(unused_port, number, text)
            running.until_said("succeeded", times=number + 1)
            entry = newest(valkey.url)
            text = f"{entry['text']}\n\n<!-- {entry['marker']} -->"
        comment(unused_port, 2, text)
        running.until_said("own_action  hop_limit")


def comment(port: int, number: int, text: str) -> None:
    payload = {"action": "created", "issue": {"number": 1}, "comment": {"id": number, "body": text}}
    request = signed("github", payload, event="issue_comment", delivery=f"gh-{number}", secret=OLD)
    url = f"http://127.0.0.1:{port}/hooks/team-a/triage"
    assert httpx.post(url, content=request.body, headers=request.headers).status_code == 200


def newest(url: str) -> dict[str, str]:
    """Read the stream as a program that writes its entries somewhere."""
    with Redis.from_url(url, decode_responses=True) as client:
        [(_, entry)] = client.xrevrange(FIRST.stream("team-a", "comments"), count=1)
    return dict(entry)
