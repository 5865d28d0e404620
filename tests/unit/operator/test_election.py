"""Of several operators one leads, whatever their clocks say, and whoever was deposed knows it."""

from dataclasses import dataclass, field, replace

import pytest

from eventroute.crd.objects import ObjectKey
from eventroute.errors import RetryLater
from eventroute_operator.api import Conflict, Lease, NotThere
from eventroute_operator.election import LEASE_S, LOOK_S, SURE_S, Election

KEY = ObjectKey("system", "operator")


@dataclass
class Server:
    """Keeps one Lease, as the API server does."""

    lease: Lease | None = None
    is_away: bool = False
    loses_answers: bool = False
    writes: int = 0

    async def read_lease(self, key: ObjectKey) -> Lease | None:
        assert key == KEY
        self._check()
        return self.lease

    async def write_lease(self, key: ObjectKey, lease: Lease) -> Lease:
        assert key == KEY
        self._check()
        if lease.version and self.lease is None:
            raise NotThere("no such lease", is_kind=True)
        if lease.version != (self.lease.version if self.lease else ""):
            raise Conflict("somebody else has written it")
        self.writes += 1
        self.lease = replace(lease, version=str(self.writes))
        if self.loses_answers:
            raise RetryLater("the answer got lost")
        return self.lease

    def _check(self) -> None:
        if self.is_away:
            raise RetryLater("the API server is away")


@dataclass
class Operator:
    """One that takes part, with a clock of its own."""

    server: Server
    name: str
    now: float = 0.0
    election: Election = field(init=False)

    def __post_init__(self) -> None:
        self.election = Election(self.server, KEY, self.name, clock=lambda: self.now)

    async def after(self, seconds: float) -> bool:
        """Let time go by and look; returns whether it leads."""
        self.now += seconds
        await self.election.look()
        return self.election.leads.is_set()


async def take_over(server: Server, name: str) -> Operator:
    """Let another operator wait until it leads, while nobody renews."""
    other = Operator(server, name)
    assert not await other.after(0)
    assert await other.after(LEASE_S)
    return other


async def test_the_first_one_leads_and_the_second_waits_as_long_as_the_first_renews() -> None:
    server = Server()
    first, second = Operator(server, "a"), Operator(server, "b", now=1e6)
    assert await first.after(0)
    for _ in range(20):
        assert not await second.after(LOOK_S)
        assert await first.after(LOOK_S)
    assert (first.election.is_sure(), second.election.is_sure()) == (True, False)


async def test_who_ends_without_a_word_is_followed_after_a_time_that_the_other_has_counted_itself() -> None:
    server = Server()
    assert await Operator(server, "a").after(0)
    second = Operator(server, "b", now=-1e9)
    waited = 0.0
    while not await second.after(LOOK_S):
        waited += LOOK_S
    assert waited == LEASE_S
    assert second.election.epoch == 2


async def test_who_stood_still_is_not_sure_before_it_has_looked_and_then_deposed() -> None:
    server = Server()
    first = Operator(server, "a")
    await first.after(0)
    second = await take_over(server, "b")
    first.now += LEASE_S
    assert not first.election.is_sure()
    assert not await first.after(0)
    assert first.election.deposed.is_set()
    assert second.election.epoch > first.election.epoch
    assert server.lease is not None
    assert server.lease.holder == "b"


async def test_who_stood_still_and_was_not_followed_goes_on() -> None:
    first = Operator(Server(), "a")
    await first.after(0)
    first.now += 10 * LEASE_S
    assert not first.election.is_sure()
    assert await first.after(0)
    assert first.election.is_sure()
    assert first.election.epoch == 1


async def test_a_leader_is_sure_for_less_time_than_others_wait_also_when_the_answer_takes_long() -> None:
    first = Operator(Server(), "a")
    await first.after(0)
    assert await first.after(SURE_S / 2)
    first.now += SURE_S - 0.01
    assert first.election.is_sure()
    first.now += 0.01
    assert not first.election.is_sure()
    assert SURE_S < LEASE_S


async def test_a_write_waits_while_the_leader_is_not_sure() -> None:
    written: list[str] = []

    async def write(text: str) -> None:
        written.append(text)

    first = Operator(Server(), "a")
    guarded = first.election.guarded(write)
    with pytest.raises(RetryLater):
        await guarded("before it leads")
    await first.after(0)
    await guarded("while it leads")
    first.now += SURE_S
    with pytest.raises(RetryLater):
        await guarded("after it stood still")
    assert written == ["while it leads"]


async def test_an_api_server_that_is_away_deposes_nobody() -> None:
    server = Server()
    first = Operator(server, "a")
    await first.after(0)
    server.is_away = True
    for _ in range(10):
        with pytest.raises(RetryLater):
            await first.after(LEASE_S)
    assert first.election.leads.is_set()
    server.is_away = False
    assert await first.after(LOOK_S)
    assert first.election.is_sure()


async def test_an_answer_that_got_lost_deposes_nobody() -> None:
    server = Server()
    first = Operator(server, "a")
    await first.after(0)
    server.loses_answers = True
    with pytest.raises(RetryLater):
        await first.after(LOOK_S)
    server.loses_answers = False
    assert await first.after(LOOK_S)
    assert await first.after(LOOK_S)
    assert first.election.is_sure()


async def test_who_ends_hands_over_at_once() -> None:
    server = Server()
    first, second = Operator(server, "a"), Operator(server, "b")
    await first.after(0)
    async with first.election.standing():
        assert not await second.after(0)
    assert not first.election.leads.is_set()
    assert await second.after(0)
    assert second.election.epoch == 2


async def test_who_comes_back_under_its_name_leads_at_once_under_a_new_number() -> None:
    server = Server()
    killed, again = Operator(server, "a"), Operator(server, "a")
    await killed.after(0)
    assert await again.after(0)
    assert again.election.epoch == 2
    assert not await killed.after(0), "whoever it is that has our name"


async def test_a_lease_that_somebody_deleted_is_made_again_under_the_same_number() -> None:
    server = Server()
    first = Operator(server, "a")
    await first.after(0)
    server.lease = None
    assert await first.after(LOOK_S)
    assert await first.after(LOOK_S)
    assert server.lease == Lease("a", 1, LEASE_S, "2")


async def test_a_number_rises_above_what_stands_in_the_tables_only_for_who_holds_the_lease() -> None:
    server = Server()
    first = Operator(server, "a")
    await first.after(0)
    await first.election.rise_above(41)
    assert first.election.epoch == 42
    assert await first.after(LOOK_S)
    second = await take_over(server, "b")
    with pytest.raises(Conflict):
        await first.election.rise_above(99)
    assert (first.election.epoch, second.election.epoch) == (42, 43)


async def test_two_that_reach_for_it_at_once_are_told_apart() -> None:
    server = Server()
    first, second = Operator(server, "a"), Operator(server, "b")
    for each in (first, second):
        await each.election._see()
    assert await first.after(0)
    with pytest.raises(Conflict):
        await second.election._write("b", 1)
    assert not await second.after(0)
