"""What the shared connection sends and when, and whom it tells what: its time passes at once, its server is a fake."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import hiredis
import pytest
import redis.exceptions
import structlog

from eventroute.runtime import link as link_module
from eventroute.runtime.link import LinkCaller, LinkedRedis, LinkLostError, RedisLink
from eventroute.runtime.scripts import RedisAway, RedisForbids, Script
from support.virtual_time import run_at_once

OK, PONG = b"+OK\r\n", b"+PONG\r\n"
SCRIPT = Script("eventroute.queue", "load", shared="lib")
MB = 1_000_000


class Server:
    """Answers after a while, or not at all; notes each write: when it came on which connection, and its commands."""

    def __init__(self) -> None:
        self.writes: list[tuple[float, int, list[list[Any]]]] = []
        self.asked: list[tuple[float, Any]] = []
        """When somebody wanted to connect, and where."""
        self.answers: dict[str, bytes | None] = {}
        """By a command's first word; `+OK` unless told, None = no answer."""
        self.after_s = 0.001
        self.refuses: list[BaseException | float] = []
        """What those who connect next meet, or for how long they wait."""
        self.talks: list[Talk] = []

    async def connect(self, build: Callable[[], Any], *where: Any, ssl: Any = None) -> tuple[Any, Any]:
        assert ssl is None
        self.asked.append((self.now(), where))
        if self.refuses:
            met = self.refuses.pop(0)
            if isinstance(met, BaseException):
                raise met
            await asyncio.sleep(met)
        protocol = build()
        self.talks.append(Talk(self, protocol, len(self.talks)))
        protocol.connection_made(self.talks[-1])
        return self.talks[-1], protocol

    @staticmethod
    def now() -> float:
        return round(asyncio.get_running_loop().time(), 4)

    def commands(self, talk: int | None = None) -> list[list[Any]]:
        """List what was sent, over a connection or all."""
        return [each for _, number, said in self.writes for each in said if talk in {None, number}]


class Talk:
    """An open connection, as a transport."""

    def __init__(self, server: Server, protocol: Any, number: int) -> None:
        self.server, self.protocol, self.number = server, protocol, number
        self.is_open = True
        self._reader = hiredis.Reader()

    def write(self, data: bytes) -> None:
        self._reader.feed(data)
        said: list[list[Any]] = []
        while (command := self._reader.gets()) is not False:
            said.append([part.decode(errors="replace") if len(part) < 99 else len(part) for part in command])
        self.server.writes.append((self.server.now(), self.number, said))
        for command in said:
            usual = PONG if command[0] == "PING" else OK
            if (reply := self.server.answers.get(command[0], usual)) is not None:
                asyncio.get_running_loop().call_later(self.server.after_s, self.say, reply)

    def say(self, reply: bytes) -> None:
        if self.is_open:
            self.protocol.data_received(reply)

    def abort(self) -> None:
        if self.is_open:
            self.is_open = False
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


@asynccontextmanager
async def linked(server: Server, url: str = "redis://one:6379/0", **options: Any) -> AsyncIterator[RedisLink]:
    """Keep a link open while the block runs."""
    loop = asyncio.get_running_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "create_connection", server.connect)
        patch.setattr(loop, "create_unix_connection", server.connect)
        patch.setattr(link_module, "time", SimpleNamespace(monotonic=loop.time))
        patch.setattr(random, "uniform", lambda least, most: least + most)  # twice the mean
        link = RedisLink(url, **options)
        keeping = asyncio.create_task(link.run())
        try:
            yield link
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


def plays(scene: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Let a test run in a loop whose time passes at once."""

    def test() -> None:
        run_at_once(scene)

    test.__name__ = scene.__name__
    return test


async def _heard(reply: Awaitable[Any]) -> Any:
    try:
        return await reply
    except (LinkLostError, hiredis.ReplyError) as error:
        return f"{type(error).__name__}: {error}"


def _asked(link: RedisLink, *commands: tuple[Any, ...]) -> list["asyncio.Task[Any]"]:
    return [asyncio.ensure_future(_heard(link.call(*command))) for command in commands]


# --- connecting ---


@pytest.mark.parametrize(
    ("url", "where", "said"),
    [
        ("redis://one:6379/0", ("one", 6379), [["PING"]]),
        ("redis://:pw@two:7/3", ("two", 7), [["AUTH", "default", "pw"], ["SELECT", "3"], ["PING"]]),
        ("redis://me:pw@two:7/1", ("two", 7), [["AUTH", "me", "pw"], ["SELECT", "1"], ["PING"]]),
        ("unix:///run/redis.sock", ("/run/redis.sock",), [["PING"]]),
    ],
)
def test_it_signs_in_on_both_connections(url: str, where: tuple[Any, ...], said: list[list[Any]]) -> None:
    async def scene() -> None:
        server = Server()
        async with linked(server, url) as link:
            assert not link.is_up
            assert await link.until_up(1)
        assert server.asked == [(0, where)] * 2
        assert [server.commands(0), server.commands(1)] == [said] * 2

    run_at_once(scene)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://two:7/3", {"host": "two", "port": 7, "db": 3}),
        ("unix:///run/redis.sock?db=2", {"unix_socket_path": "/run/redis.sock", "db": 2}),
    ],
)
def test_it_says_where_redis_is(url: str, told: dict[str, Any]) -> None:
    async def scene() -> None:
        assert RedisLink(url).where == told

    run_at_once(scene)


@plays
async def test_a_redis_that_is_not_there_is_tried_again_and_told_of_once() -> None:
    server = Server()
    server.refuses = [OSError("no route")] * 6
    with structlog.testing.capture_logs() as logs:
        async with linked(server) as link:
            assert not await link.until_up(0.5)
            assert await link.until_up(5)
            await asyncio.sleep(1)
    assert [at for at, _ in server.asked[::2]] == [0, 0.4, 0.8, 1.2]
    assert [each["event"] for each in logs] == ["redis_unreachable", "redis_connected"]
    assert (logs[0]["error"], logs[0]["detail"]) == ("OSError", "no route")


@plays
async def test_one_that_does_not_answer_is_given_up_after_nine_tenths_of_a_second() -> None:
    server = Server()
    server.refuses = [99.0] * 2
    async with linked(server) as link:
        await asyncio.sleep(1.29)
        assert not link.is_up
        assert len(server.asked) == 2
        await asyncio.sleep(0.02)
        assert [at for at, _ in server.asked] == [0, 0, 1.3, 1.3]


@plays
async def test_one_that_is_loading_is_not_up_and_its_connection_is_closed() -> None:
    server = Server()
    server.answers = {"PING": b"-LOADING reads its data\r\n"}
    async with linked(server) as link:
        await asyncio.sleep(0.1)
        assert not link.is_up
        assert [talk.is_open for talk in server.talks] == [False, False]
        with pytest.raises(LinkLostError, match="not connected"):
            link.call("GET", "a")


@pytest.mark.parametrize(("role", "is_up"), [(b"master", True), (b"slave", False)])
def test_behind_sentinels_it_asks_whether_this_is_the_primary(
    monkeypatch: pytest.MonkeyPatch, role: bytes, *, is_up: bool
) -> None:
    async def find_primary(_: object) -> tuple[str, int]:
        return "primary", 6

    async def scene() -> None:
        server = Server()
        server.answers = {"ROLE": b"*2\r\n$%d\r\n%s\r\n:0\r\n" % (len(role), role)}
        async with linked(server, "redis+sentinel://one:26379/main/0") as link:
            assert await link.until_up(0.3) is is_up
            assert server.asked[0] == (0, ("primary", 6))
            assert server.commands(0) == [["ROLE"], ["PING"]][: 1 + is_up]

    monkeypatch.setattr(link_module, "find_primary", find_primary)
    run_at_once(scene)


# --- commands ---


@plays
async def test_all_commands_of_a_turn_are_one_write_and_replies_come_in_order() -> None:
    server = Server()
    server.answers = {"GET": b"$1\r\n1\r\n", "TYPE": b"-WRONGTYPE x\r\n", "SET": OK}
    async with linked(server) as link:
        await link.until_up(1)
        server.writes.clear()
        tasks = _asked(link, ("GET", "a"), ("TYPE", "b"), ("SET", "c", 1, 2.5, b"x"))
        assert await asyncio.gather(*tasks) == [b"1", "ReplyError: WRONGTYPE x", b"OK"]
        assert await link.call("GET", "d") == b"1"
    assert [said for _, _, said in server.writes] == [
        [["GET", "a"], ["TYPE", "b"], ["SET", "c", "1", "2.5", "x"]],
        [["GET", "d"]],
    ]


@plays
async def test_large_commands_take_the_other_connection() -> None:
    server = Server()
    overhead = len(hiredis.pack_command(cast("Any", ("SET", "a", b"x" * 10_000)))) - 10_000
    async with linked(server) as link:
        await link.until_up(1)
        await asyncio.sleep(0.01)
        server.writes.clear()
        for size in (65_536 - overhead, 65_536 - overhead + 1):
            assert await link.call("SET", "a", b"x" * size) == b"OK"
    assert [number for _, number, _ in server.writes] == [0, 1]


@plays
async def test_a_cancelled_request_takes_its_own_reply_and_nobody_elses() -> None:
    server = Server()
    async with linked(server) as link:
        await link.until_up(1)
        server.answers = {"GET": b"$1\r\n1\r\n", "TYPE": b"+set\r\n"}
        first, second = _asked(link, ("GET", "a"), ("TYPE", "b"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == b"set"
        assert link.is_up


@pytest.mark.parametrize("word", ["READONLY", "MOVED", "ASK"])
def test_a_server_that_sends_elsewhere_is_left(word: str) -> None:
    async def scene() -> None:
        server = Server()
        with structlog.testing.capture_logs() as logs:
            async with linked(server) as link:
                await link.until_up(1)
                server.answers = {"GET": f"-{word} x\r\n".encode(), "TYPE": None}
                said, other = _asked(link, ("GET", "a"), ("TYPE", "b"))
                assert await said == f"ReplyError: {word} x"
                assert await other == "LinkLostError: connection lost"
                await asyncio.sleep(0.01)
                assert not link.is_up
                assert await link.until_up(1)
                assert len(server.talks) == 3
        assert [each["event"] for each in logs] == ["redis_connected", "redis_connection_lost", "redis_connected"]

    run_at_once(scene)


@plays
async def test_other_errors_leave_the_connection_as_it_is() -> None:
    server = Server()
    async with linked(server) as link:
        await link.until_up(1)
        server.answers = {"GET": b"-OOM full\r\n"}
        assert await _heard(link.call("GET", "a")) == "ReplyError: OOM full"
        assert link.is_up


# --- deadlines ---


async def _lost_after(server: Server, link: RedisLink, *commands: tuple[Any, ...]) -> list[tuple[float, str]]:
    """Send commands that nobody answers; tells when each is lost, and with which words."""
    began = server.now()

    async def hear(command: tuple[Any, ...]) -> tuple[float, str]:
        said = await _heard(link.call(*command))
        return round(server.now() - began, 4), said

    return list(await asyncio.gather(*(hear(command) for command in commands)))


@plays
async def test_a_reply_that_does_not_come_is_given_up_after_eight_tenths_of_a_second() -> None:
    server = Server()
    async with linked(server) as link:
        await link.until_up(1)
        server.answers = {"GET": None}
        ((after_s, said),) = await _lost_after(server, link, ("GET", "a"))
        assert said == "LinkLostError: connection lost"
        assert 0.82 <= after_s <= 0.91  # a look at the clock ten times in this time, and the grace
        assert await link.until_up(1)


@pytest.mark.parametrize(("comes_at", "said"), [(0.89, b"1"), (0.91, "LinkLostError: connection lost")])
def test_a_reply_that_is_there_within_a_turn_of_the_loop_is_no_loss(comes_at: float, said: Any) -> None:
    async def scene() -> None:
        server = Server()
        async with linked(server) as link:
            await link.until_up(1)  # at 0.001: from then on there is a look every 0.08 s
            server.answers = {"GET": None}
            await asyncio.sleep(0.049)
            (asked,) = _asked(link, ("GET", "a"))  # is overdue at 0.85, and seen to be at 0.881
            asyncio.get_running_loop().call_at(comes_at, lambda: server.talks[0].say(b"$1\r\n1\r\n"))
            assert await asked == said
            assert server.talks[0].is_open is (said == b"1")

    run_at_once(scene)


@plays
async def test_the_deadline_grows_with_what_was_sent_before() -> None:
    server = Server()
    async with linked(server) as link:
        await link.until_up(1)
        await asyncio.sleep(0.05)
        server.answers = {"SET": None}
        large = ("SET", "a", b"x" * 10 * MB)
        lost = await _lost_after(server, link, large, large)
        assert {said for _, said in lost} == {"LinkLostError: connection lost"}
        assert 2.82 <= lost[0][0] <= 2.92, "two seconds for ten megabytes, and what any reply may take"
        # The oldest reply decides; the second one had four seconds, and is lost with its connection.
        assert lost[1][0] == lost[0][0]


@plays
async def test_what_follows_a_large_command_waits_for_it() -> None:
    server = Server()
    async with linked(server) as link:
        await link.until_up(1)
        server.answers = {"SET": None}
        began = server.now()
        first, second = _asked(link, *[("SET", "a", b"x" * 10 * MB)] * 2)
        asyncio.get_running_loop().call_later(1, lambda: server.talks[1].say(OK))
        assert await first == b"OK"
        assert await second == "LinkLostError: connection lost"
        assert 4.82 <= server.now() - began <= 4.92


@plays
async def test_the_next_ones_deadline_counts_from_when_it_is_sent() -> None:
    server = Server()
    async with linked(server) as link:
        await link.until_up(1)
        await asyncio.sleep(7)
        server.answers = {"GET": None}
        ((after_s, _),) = await _lost_after(server, link, ("GET", "a"))
        assert 0.82 <= after_s <= 0.91


# --- replicas ---


@plays
async def test_each_write_waits_for_its_replicas() -> None:
    server = Server()
    server.answers = {"GET": b"$1\r\n1\r\n", "TYPE": b"-WRONGTYPE x\r\n", "WAIT": None}
    async with linked(server, replicas=2) as link:
        await link.until_up(1)
        assert server.commands() == [["PING"], ["PING"]]
        server.writes.clear()
        held, refused, other = asked = _asked(link, ("GET", "a"), ("TYPE", "b"), ("GET", "c"))
        await asyncio.sleep(0.01)
        (written,) = server.writes
        assert written[2] == [["GET", "a"], ["TYPE", "b"], ["GET", "c"], ["WAIT", "2", "500"]]
        assert [held.done(), refused.done(), other.done()] == [False, True, False]
        server.talks[0].say(b":2\r\n")
        assert await asyncio.gather(*asked) == [b"1", "ReplyError: WRONGTYPE x", b"1"]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b":1\r\n", "ReplyError: NOREPLICAS 1 of 2 replicas have it"),
        (b":3\r\n", b"1"),
        (b"-ERR no\r\n", "ReplyError: NOREPLICAS ERR no of 2 replicas have it"),
    ],
)
def test_a_reply_counts_once_enough_replicas_have_it(said: bytes, heard: Any) -> None:
    async def scene() -> None:
        server = Server()
        server.answers = {"GET": b"$1\r\n1\r\n", "WAIT": said}
        async with linked(server, replicas=2) as link:
            await link.until_up(1)
            assert await asyncio.gather(*_asked(link, ("GET", "a"))) == [heard]
            assert link.is_up

    run_at_once(scene)


@plays
async def test_what_replicas_have_not_confirmed_is_lost_with_the_connection() -> None:
    server = Server()
    server.answers = {"GET": b"$1\r\n1\r\n", "WAIT": None}
    async with linked(server, replicas=1) as link:
        await link.until_up(1)
        ((after_s, said),) = await _lost_after(server, link, ("GET", "a"))
        assert said == "LinkLostError: connection lost"
        assert 0.82 <= after_s <= 0.91


# --- those who use it ---


@plays
async def test_a_script_that_the_server_does_not_know_is_sent_whole() -> None:
    server = Server()
    server.answers = {"EVALSHA": b"-NOSCRIPT No matching script\r\n", "EVAL": b":7\r\n"}
    async with linked(server) as link:
        await link.until_up(1)
        server.writes.clear()
        assert await LinkCaller(link)(SCRIPT, "er:{g0}:", ["a", 1]) == 7
    assert server.commands() == [
        ["EVALSHA", SCRIPT.sha, "1", "er:{g0}:", "a", "1"],
        ["EVAL", len(SCRIPT.source), "1", "er:{g0}:", "a", "1"],
    ]


@pytest.mark.parametrize(
    ("answer", "kind", "word", "message"),
    [
        (b"-OOM command not allowed\r\n", RedisAway, "OOM", "OOM command not allowed"),
        (b"-NOPERM no right\r\n", RedisForbids, "NOPERM", "NOPERM no right"),
        (None, RedisAway, "LOST", "connection lost"),
    ],
)
def test_what_a_script_meets_is_one_of_two_errors(answer: bytes | None, kind: type, word: str, message: str) -> None:
    async def scene() -> None:
        server = Server()
        server.answers = {"EVALSHA": answer}
        async with linked(server) as link:
            await link.until_up(1)
            with pytest.raises(kind) as told:
                await LinkCaller(link)(SCRIPT, "er:{g0}:", [])
            assert (cast("RedisAway", told.value).word, str(told.value)) == (word, message)

    run_at_once(scene)


@plays
async def test_commands_of_redis_py_go_over_it() -> None:
    server = Server()
    server.answers = {
        "HGETALL": b"*2\r\n$1\r\na\r\n$1\r\n1\r\n",
        "CONFIG": b"*2\r\n$1\r\na\r\n$1\r\n1\r\n",
        "GET": b"-WRONGTYPE x\r\n",
        "TTL": b":5\r\n",
    }
    async with linked(server) as link:
        await link.until_up(1)
        server.writes.clear()
        client = LinkedRedis(link)
        assert await client.hgetall("h") == {b"a": b"1"}
        assert await client.config_get("a") == {"a": "1"}
        assert await client.ttl("h") == 5
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            await client.get("h")
        server.answers = {"GET": None}
        with pytest.raises(redis.exceptions.ConnectionError, match="connection lost"):
            await client.get("h")
    assert server.commands(0)[:3] == [["HGETALL", "h"], ["CONFIG", "GET", "a"], ["TTL", "h"]]
