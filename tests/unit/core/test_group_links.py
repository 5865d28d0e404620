"""A cluster's links: each command goes to the server that has its key."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from eventroute.runtime import link
from eventroute.runtime.link import GroupLinks, LinkCaller, RedisLink, open_link
from eventroute.runtime.scripts import Argument, RedisAway, Script

URL = "redis+cluster://one:6379,two:6379"


class Noted:
    """Stands for the link to one server."""

    def __init__(self) -> None:
        self.commands: list[Sequence[Argument]] = []
        self.is_up = True

    def call(self, *command: Argument) -> None:
        self.commands.append(command)


@pytest.fixture
def noted() -> tuple[GroupLinks, list[Noted]]:
    links, servers = GroupLinks(URL, groups=3), [Noted() for _ in range(3)]
    links._links = cast("Any", {f"g{number}": each for number, each in enumerate(servers)})
    return links, servers


@pytest.mark.parametrize(
    ("command", "group"),
    [
        (("EVALSHA", "0a", 1, "er:{g1}:", "x{g2}"), 1),
        (("EVAL", "return '{g0}'", 1, "er:{g2}:"), 2),
        (("GET", "er:{g2}:usage"), 2),
        (("GET", "er:{g1}:stream:{g2}"), 1),
        (("GET", "er:table"), 0),
        (("PING",), 0),
    ],
)
def test_a_command_goes_where_its_key_is(
    noted: tuple[GroupLinks, list[Noted]], command: tuple[Argument, ...], group: int
) -> None:
    links, servers = noted
    links.call(*command)
    assert [each.commands for each in servers] == [[command] if number == group else [] for number in range(3)]


def test_commands_can_be_sent_when_all_servers_are_there(noted: tuple[GroupLinks, list[Noted]]) -> None:
    links, servers = noted
    assert links.is_up
    servers[2].is_up = False
    assert not links.is_up


def test_each_server_is_asked_for_as_many_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, str, int]] = []

    def note(url: str, *, tag: str = "g0", replicas: int = 0) -> Noted:
        made.append((url, tag, replicas))
        return Noted()

    monkeypatch.setattr(link, "RedisLink", note)
    GroupLinks(URL, groups=2, replicas=1)
    open_link(URL, groups=2, replicas=2)
    open_link(URL, replicas=3)
    assert made == [(URL, "g0", 1), (URL, "g1", 1), (URL, "g0", 2), (URL, "g1", 2), (URL, "g0", 3)]


async def test_a_call_without_a_connection_says_so() -> None:
    caller = LinkCaller(RedisLink("redis://localhost:1/0"))
    with pytest.raises(RedisAway, match="not connected") as told:
        await caller(Script("eventroute.queue", "load", shared="lib"), "er:{g0}:", [])
    assert told.value.word == "LOST"


def test_it_says_where_the_first_group_is() -> None:
    links = GroupLinks(URL, groups=2)
    assert links.where == links._links["g0"].where
    assert links.where["db"] == 0


async def test_all_servers_connections_are_kept_open() -> None:
    links, kept = GroupLinks(URL, groups=3), list[str]()

    class Kept:
        def __init__(self, tag: str) -> None:
            self._tag = tag

        async def run(self) -> None:
            kept.append(self._tag)

    links._links = cast("Any", {tag: Kept(tag) for tag in links._links})
    await links.run()
    assert kept == ["g0", "g1", "g2"]
