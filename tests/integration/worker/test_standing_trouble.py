"""A trouble of a key or model parks what meets it and nothing else; the first success of a probe ends it."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, route_path
from eventroute.models import Models
from eventroute.outcome import DeadReason
from eventroute.prompt import Prompt
from eventroute.queue import Group, Lease, Trouble
from eventroute.route_table import ModelCall
from eventroute.runtime.metrics import REGISTRY
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.server import serving
from eventroute_worker import keeper as keeper_module
from eventroute_worker.answer import Reply, Standing
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices
from eventroute_worker.troubles import Troubles, may_meet
from support.queue import GROUP, admit, admit_all, dead_letters, depth, fields, state, upkeep_of, work_on
from support.runs import (
    FakeClaude,
    FakeRoutes,
    answer,
    build_runner,
    prompt_rule,
    results,
    sample_delivery,
    worker_route,
)
from support.waiting import until
from support.worker import keeping, running, until_empty

pytestmark = pytest.mark.real

OWN, OTHER = (route_path("team-a", name) for name in ("own", "other"))
FIRST, SECOND = "claude-haiku-5-5", "claude-opus-5-5"
BILLING = Standing(reason=DeadReason.BILLING, detail="402", whole_key=True)
RETIRED = Standing(reason=DeadReason.NOT_FOUND, detail="404", whole_key=False)


class Account(FakeClaude):
    """Answers by key and model; what is wrong with them is told per (key, model) or per key."""

    def __init__(self, **wrong: Standing) -> None:
        super().__init__()
        self.wrong: dict[str, Standing] = dict(wrong)
        self.calls: list[tuple[str, str, str]] = []

    async def ask(self, call: ModelCall, *_: Any, api_key: Secret | None) -> Reply:
        key = self.key_id(api_key)
        wrong = self.wrong.get(key) or self.wrong.get(f"{key}:{call.name}")
        self.calls.append((key, call.name, "refused" if wrong else "answered"))
        return wrong or answer(f"{key} {call.name}")

    def was_asked(self, *, times: int) -> bool:
        return len(self.calls) == times


def _routes(**changes: object) -> FakeRoutes:
    """A route with the worker's key, and another one that differs in `changes`."""
    return FakeRoutes(worker_route(path=OWN), worker_route(path=OTHER, **changes))


def _model(name: str) -> dict[str, object]:
    return {"prompts": (prompt_rule(model=ModelCall(name=name, max_tokens=9, timeout_s=1)),)}


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_S", 0.05)


async def _until_parked(redis: Redis, cause: str, count: int) -> None:
    async def is_parked() -> bool:
        return bool(await redis.zcard(GROUP.parked(cause)) == count)

    await until(is_parked)


async def test_the_others_are_not_even_asked_and_another_key_goes_on(redis: Redis) -> None:
    claude, routes, troubles = Account(own=BILLING), _routes(api_key=Secret(b"theirs")), Troubles()
    await admit_all(redis, [sample_delivery(f"d-{number:02}", route=OWN) for number in range(20)])
    await admit_all(redis, [sample_delivery(f"e-{number:02}", route=OTHER) for number in range(20)])
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    async with (
        keeping(redis, troubles=troubles, routes=routes, keys={"own", "theirs"}),
        running(redis, runner, slots=2),
    ):
        await _until_parked(redis, "own:*", 20)
        await until(lambda: sum(1 for key, _, end in claude.calls if (key, end) == ("theirs", "answered")) == 20)
    assert sum(1 for key, _, _ in claude.calls if key == "own") <= 2, "as many as were asked at the same time"
    for number in range(20):
        found = await fields(redis, sample_delivery(f"d-{number:02}").id)
        assert (found["state"], found.get("attempts", "0")) == ("held", "0")
    assert await dead_letters(redis) == []


@pytest.mark.parametrize(("wrong", "cause"), [({"own": BILLING}, "own:*"), ({f"own:{FIRST}": RETIRED}, f"own:{FIRST}")])
async def test_a_second_model_of_the_same_key_goes_on_when_only_one_is_concerned(
    redis: Redis, wrong: dict[str, Standing], cause: str
) -> None:
    claude, routes, troubles = Account(**wrong), _routes(**_model(SECOND)), Troubles()
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    wanted = "held" if cause == "own:*" else "settled"
    async with keeping(redis, troubles=troubles, routes=routes), running(redis, runner, slots=1):
        await admit(redis, sample_delivery("d-1", route=OWN))
        await _until_parked(redis, cause, 1)
        second = await admit(redis, sample_delivery("d-2", route=OTHER))

        async def has_ended() -> bool:
            return await state(redis, second) == wanted

        await until(has_ended)
    assert (("own", SECOND, "answered") in claude.calls) is (wanted == "settled")


async def test_another_worker_hears_of_the_trouble_from_the_queue(redis: Redis) -> None:
    claude, routes = Account(own=BILLING), _routes()
    met, heard = Troubles(), Troubles()
    await admit(redis, sample_delivery("d-1", route=OWN))
    async with running(redis, build_runner(redis, claude=claude, routes=routes, troubles=met), slots=1):
        await _until_parked(redis, "own:*", 1)
    async with keeping(redis, troubles=heard, routes=routes):
        await until(lambda: heard.standing("own", FIRST) is not None)
        await admit(redis, sample_delivery("d-2", route=OWN))
        async with running(redis, build_runner(redis, claude=claude, routes=routes, troubles=heard), slots=1):
            await _until_parked(redis, "own:*", 2)
    assert len(claude.calls) == 1


async def test_one_probe_a_minute_is_asked(redis: Redis) -> None:
    claude, routes, troubles = Account(own=BILLING), _routes(), Troubles()
    await admit_all(redis, [sample_delivery(f"d-{number}", route=OWN) for number in range(5)])
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    async with keeping(redis, troubles=troubles, routes=routes), running(redis, runner, slots=1):
        await _until_parked(redis, "own:*", 5)
        for probes in range(3):
            await asyncio.sleep(0.3)  # six looks of the keeper
            assert len(claude.calls) == 1 + probes
            await redis.hincrby(GROUP.probed, "own:*", -59_000)
            await asyncio.sleep(0.15)
            assert len(claude.calls) == 1 + probes, "a minute is not over yet"
            await redis.hincrby(GROUP.probed, "own:*", -1_001)
            await until(partial(claude.was_asked, times=2 + probes))
            await _until_parked(redis, "own:*", 5)


async def test_the_first_success_lets_all_go_on_in_their_order(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_PROBE_MS", 200)
    claude, routes, troubles = Account(own=BILLING), _routes(), Troubles()
    names = [f"d-{number:03}" for number in range(250)]  # more than are let go of per call
    await admit_all(redis, [sample_delivery(name, route=OWN) for name in names])
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    async with keeping(redis, troubles=troubles, routes=routes), running(redis, runner, slots=1):
        await _until_parked(redis, "own:*", 250)
        await until(lambda: REGISTRY.get_sample_value("eventroute_worker_parked", {"reason": "billing"}) == 250)
        claude.wrong.clear()
        await until_empty(redis, timeout_s=20)
        await until(lambda: REGISTRY.get_sample_value("eventroute_worker_parked", {"reason": "billing"}) is None)
    told = [entry["delivery"] for entry in await results(redis)]
    assert sorted(told) == names
    assert told[1:] == sorted(told[1:]), "the first one was the probe"
    assert await upkeep_of(redis).standing(GROUP) == []
    assert troubles.standing("own", FIRST) is None


async def test_a_key_that_was_changed_lets_go_of_what_waited_for_the_old_one(redis: Redis) -> None:
    claude, routes, troubles = Account(own=BILLING), _routes(), Troubles()
    keys = {"own"}
    await admit_all(redis, [sample_delivery(f"d-{number}", route=OWN) for number in range(5)])
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    async with keeping(redis, troubles=troubles, routes=routes, keys=keys), running(redis, runner, slots=1):
        await _until_parked(redis, "own:*", 5)
        claude.own = "new"
        keys.clear()
        keys.add("new")
        await until_empty(redis)
    assert [end for _, _, end in claude.calls] == ["refused", *["answered"] * 5]
    assert [entry["delivery"] for entry in await results(redis)] == [f"d-{number}" for number in range(5)]


async def test_a_key_that_was_changed_while_the_old_one_was_refused_keeps_nobody_waiting(
    redis: Redis, tmp_path: Path
) -> None:
    class Replaced(Claude):
        async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
            reply = await super().ask(call, prompt, api_key=api_key)
            file.write_text(DEFAULT_KEY)
            return reply

    file, routes, troubles = tmp_path / "key", FakeRoutes(worker_route()), Troubles()
    file.write_text("sk-ant-wrong")
    with serving() as simulator:
        async with Replaced(
            api_key=Secret(b"sk-ant-wrong"),
            base_url=simulator.url,
            propagate_trace=False,
            prices=Prices(Models.load()),
            key_file=file,
        ) as claude:

            def met(trouble: Trouble) -> bool:
                return may_meet(trouble, routes.all(), claude.key_id)

            runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
            await admit(redis, sample_delivery())
            async with keeping(redis, troubles=troubles, routes=routes, may_meet=met), running(redis, runner):
                await until_empty(redis)
        assert [entry.given.status for entry in simulator.simulator.journal.entries()] == [401, 200]


async def test_it_is_so_in_every_group_of_the_queue(redis: Redis) -> None:
    groups = [Group(0), Group(1)]
    troubles, trouble = Troubles(), Trouble(reason="billing", detail="402", key_id="own", model="")
    names = [DeliveryId("d-0"), DeliveryId("d-1")]
    for group, name in zip(groups, names, strict=True):
        await redis.hset(group.delivery(name), mapping={"path": OWN, "seq": 1, "fence": 1})
        await redis.zadd(group.running, {name: 2**48})
        await work_on(redis).park(Lease(name, OWN, 1, group), trouble, has_asked=True)
    async with keeping(redis, troubles=troubles, groups=groups) as keeper:
        await keeper.look()
        assert troubles.standing("own", FIRST) == trouble
        assert REGISTRY.get_sample_value("eventroute_worker_parked", {"reason": "billing"}) == 2
        troubles.answered("own", FIRST)

        async def is_over() -> bool:
            return not await redis.exists(*(group.causes for group in groups))

        await until(is_over)
    assert [await redis.zrange(group.ready(OWN), 0, -1) for group in groups] == [[b"d-0"], [b"d-1"]]


async def test_a_worker_that_has_read_no_table_takes_no_key_for_a_changed_one(redis: Redis) -> None:
    claude, routes, troubles = Account(theirs=BILLING), _routes(api_key=Secret(b"theirs")), Troubles()
    await admit(redis, sample_delivery("d-1", route=OTHER))
    async with running(redis, build_runner(redis, claude=claude, routes=routes, troubles=troubles), slots=1):
        await _until_parked(redis, "theirs:*", 1)
    async with keeping(redis, troubles=Troubles(), routes=FakeRoutes(version=None), keys={"own"}) as keeper:
        for _ in range(3):
            await keeper.look()
    assert (await redis.zcard(GROUP.parked("theirs:*")), await depth(redis)) == (1, 1)
