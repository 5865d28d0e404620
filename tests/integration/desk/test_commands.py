"""`eventroute runs`, `dead` and `explain` as people run them, under the desk's Redis user."""

import json
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import route_path
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import HoldReason
from support.acl_users import AclUsers
from support.command import Ended, command, run, run_here
from support.letters import bury, dead, end
from support.queue import GROUP, admit, upkeep_of
from support.runs import PATH, sample_delivery
from support.waiting import until

pytestmark = pytest.mark.real


class Typist:
    """Types commands at the desk."""

    def __init__(self, server: AclUsers) -> None:
        self.url = server.url("desk")

    def __call__(self, *words: str) -> Ended:
        return run_here(*words, REDIS_URL=self.url)


@pytest.fixture
def typed(server: AclUsers, redis: Redis) -> Typist:
    return Typist(server)


async def test_dead_letters_are_listed_shown_and_explained(redis: Redis, typed: Typist) -> None:
    about = {"about": msgspec.json.encode({"event": "issues.opened", "provider": "github", "provider_id": "gh-7"})}
    await end(redis, sample_delivery("d-1"), detail="prompts[0].user: unknown filter", fields=about)
    await end(redis, sample_delivery("d-2"), outcome=RunOutcome.SUCCEEDED)
    listed = typed("dead", "list")
    assert listed.code == 0
    header, line = listed.output.splitlines()
    assert header.split() == ["time", "state", "route", "event", "delivery", "what"]
    assert " ".join(line.split()[2:]) == ("dead render team-a/triage issues.opened d-1 prompts[0].user: unknown filter")
    assert [each["id"] for each in json.loads(typed("runs", "list", "-o", "json").output)] == ["d-2", "d-1"]
    shown = json.loads(typed("dead", "show", "d-1", "-o", "json").output)
    assert (shown["payload"], shown["provider_id"]) == ({"number": 7}, "gh-7")
    assert "payload\n{" in typed("runs", "show", "d-1").output
    for name in ("d-1", "gh-7"):
        story = " ".join(typed("explain", name).output.split())
        assert "became a dead letter" in story
        assert "eventroute dead replay d-1" in story


async def test_what_is_not_there_is_exit_code_1(redis: Redis, typed: Typist) -> None:
    for words in (
        ("explain", "d-9"),
        ("runs", "show", "d-9"),
        ("dead", "replay", "d-9"),
        ("dead", "discard", "d-9", "-y"),
    ):
        ended = typed(*words)
        assert ended.code == 1, ended.output
        assert "d-9: n" in ended.output
    assert typed("dead", "list").output.startswith("no dead letters like that")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dead", "replay"), "Name deliveries by their ids, or give --all"),
        (("dead", "replay", "d-1", "--all"), "Name deliveries by their ids, or give --all"),
        (("dead", "replay", "d-1", "--whole", "--sinks-only"), "give one of them"),
        (("dead", "replay", "d-1", "--reason", "sink"), "filters choose among --all"),
        (("dead", "list", "--reason", "rendr"), 'did you mean "render"?'),
        (("runs", "list", "--state", "asleep"), "it is none of ready, running"),
        (("runs", "list", "--since", "yesterday"), "write 30m, 2h or 7d"),
        (("runs", "list", "--redis-url", "redis://x", "-n", "y"), "give one of them"),
        (("runs", "list", "--redis-url", "redis://127.0.0.1:1"), "error:"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2(typed: Typist, words: tuple[str, ...], said: str) -> None:
    ended = typed(*words)
    assert ended.code == 2, ended.output
    assert said in ended.output


async def test_many_are_not_changed_without_a_yes_nor_by_a_dry_run(redis: Redis, typed: Typist) -> None:
    await bury(redis, 30)
    for words in (("replay", "--all"), ("discard", "d-1"), ("discard", "--all")):
        ended = typed("dead", *words)
        assert ended.code == 2
        assert "--yes" in ended.output
    for words in (("replay", "--all"), ("discard", "--all")):
        ended = typed("dead", *words, "--dry-run")
        assert ended.code == 0
        assert "would be" in ended.output
        assert "30 dead letters: 30 filter" in ended.output
    assert await dead(redis) == 30


async def test_filters_choose_what_is_replayed_and_discarded(redis: Redis, typed: Typist) -> None:
    await bury(redis, 30)
    await bury(redis, 3, prefix="d-b-", path=route_path("team-b", "x"))
    await end(redis, sample_delivery("d-render"))
    replayed = typed("dead", "replay", "--all", "--reason", "render")
    assert (replayed.code, replayed.output) == (0, "1 of 1 replayed\n")
    assert await redis.zcard(GROUP.ready(route_path("team-a", "triage"))) == 1
    said = json.loads(typed("dead", "discard", "--all", "--route", "team-b", "--yes", "-o", "json").output)
    assert (len(said["discarded"]), said["refused"]) == (3, {})
    assert await dead(redis) == 30


async def test_many_are_replayed_at_a_pace(redis: Redis, typed: Typist) -> None:
    await bury(redis, 40)
    ended = typed("dead", "replay", "--all", "--yes", "--per-second", "40")
    assert (ended.code, ended.output) == (0, "40 of 40 replayed\n")


async def test_ends_are_followed(redis: Redis, typed: Typist, tmp_path: Path) -> None:
    await end(redis, sample_delivery("d-old"))
    with command("runs", "tail", "-o", "json", folder=tmp_path, REDIS_URL=typed.url) as running:
        await until(lambda: _has_asked(redis), timeout_s=30)  # a start takes long on a busy machine
        await end(redis, sample_delivery("d-new"), reason=DeadReason.SINK)
        running.until_said("\n")
        line = json.loads(running.output())
    assert (line["id"], line["reason"]) == ("d-new", "sink")


async def _has_asked(redis: Redis) -> bool:
    """Tell whether the command knows from when on it looks: its first word at all after signing in asks the time."""
    signing_in = {"auth", "hello", "select", "client|setinfo", "role", "NULL"}
    return any(each["user"] == "desk" and each["cmd"] not in signing_in for each in await redis.client_list())


async def test_without_a_word_of_where_it_says_where_one_could_look(tmp_path: Path) -> None:
    ended, _ = run("runs", "list", folder=tmp_path)
    assert ended.code == 2
    assert "-n eventroute" in ended.output


async def test_a_waiting_delivery_is_explained(redis: Redis, typed: Typist) -> None:
    await admit(redis, sample_delivery("d-1"))
    await redis.hset(GROUP.held, "team-a/triage", '{"reason":"withheld","detail":"","since":1}')
    story = " ".join(typed("explain", "d-1").output.split())
    assert "cannot be served as it is written" in story
    assert "kubectl describe er triage -n team-a" in story


async def test_the_list_says_which_of_its_routes_take_no_turns(redis: Redis, typed: Typist) -> None:
    await admit(redis, sample_delivery("d-1"))
    await upkeep_of(redis).hold(GROUP, PATH, HoldReason.SUSPENDED)
    assert f"{PATH} is suspended: since " in typed("runs", "list", "--route", "team-a").output
    assert "suspended" not in typed("runs", "list", "--route", "team-b").output
    assert len(json.loads(typed("runs", "list", "-o", "json").output)) == 1
    assert "remove `suspend`" in " ".join(typed("explain", "d-1").output.split())


async def test_an_installation_is_stopped_and_started_by_a_command_each(redis: Redis, typed: Typist) -> None:
    await admit(redis, sample_delivery("d-1"))
    assert "is not stopped; nothing was changed" in typed("start").output
    first, again = typed("stop", "--reason", "wrong answers"), typed("stop", "--reason", "another")
    assert [first.code, again.code] == [0, 0]
    what, done = first.output.splitlines()
    assert what.startswith("Stopping the installation: within two seconds no worker takes anything more.")
    assert done.startswith("The installation is stopped since 20")
    assert ": wrong answers. To go on: `eventroute start`." in done
    assert again.output.splitlines()[1] == f"It was stopped already. {done}"
    assert done in typed("runs", "list").output
    assert done in " ".join(typed("explain", "d-1").output.split())
    started = typed("start")
    assert started.code == 0
    assert "(wrong answers)" in started.output
    assert "stopped" not in typed("runs", "list").output
