"""Models that go away are known before a call fails: asked of the API, kept in Redis, waited for without a call."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import date, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.errors import RetryLater
from eventroute.models import Models
from eventroute.outcome import DeadReason
from eventroute.prompt import prepare
from eventroute.queue import Trouble
from eventroute.runtime.notices import Notice, read_notices, write_notices
from eventroute.runtime.redis import connect
from eventroute.secret import Secret
from eventroute_cli.local.processes import free_port
from eventroute_cli.simulator.api import DEFAULT_KEY, SimulatorSettings
from eventroute_cli.simulator.models import Catalogue, Life
from eventroute_cli.simulator.server import Served, serving
from eventroute_worker import keeper as keeper_module
from eventroute_worker.claude import Claude
from eventroute_worker.model_watch import AGAIN_S, DAY_S, SOON_S, ModelWatch, with_aliases
from eventroute_worker.pricing import Prices
from eventroute_worker.troubles import Troubles
from support.queue import GROUP, admit, dead_letters, fields, state
from support.routes import model_call
from support.runs import FakeClaude, FakeRoutes, build_runner, prompt_rule, sample_delivery, worker_route
from support.waiting import until
from support.worker import keeping, running

pytestmark = pytest.mark.real

OLD, NEW = "claude-haiku-4-5", "claude-haiku-5-5"
SOON = datetime.fromisoformat("2099-12-14T00:00:00Z")
GONE = {OLD: Notice(is_retired=True, retires=date(2026, 11, 30))}


@pytest.fixture
def simulator() -> Iterator[Served]:
    lives = (Life(model="claude-opus-4-5", retires_at=SOON), Life(model="claude-opus-5", lifecycle="deprecated"))
    with serving(SimulatorSettings(lives=lives)) as served:
        yield served


@pytest.fixture
async def claude(simulator: Served) -> AsyncIterator[Claude]:
    async with _claude(simulator.url, key=DEFAULT_KEY) as claude:
        yield claude


def _claude(url: str, *, key: str | None) -> Claude:
    api_key = Secret(key.encode()) if key else None
    return Claude(api_key=api_key, base_url=url, propagate_trace=False, prices=Prices(Models.load()))


def _watch(claude: Claude, redis: Redis, troubles: Troubles, *keys: str) -> ModelWatch:
    plans = [prepare(worker_route(api_key=Secret(key.encode()))) for key in keys]
    return ModelWatch(claude, redis, plans=lambda: plans, troubles=troubles)


async def test_what_the_api_says_is_kept_for_the_operator_and_known_to_the_worker(claude: Claude, redis: Redis) -> None:
    troubles = Troubles()
    assert await _watch(claude, redis, troubles).look() == DAY_S
    written = await read_notices(redis)
    assert written["claude-opus-4-5"] == Notice(retires=date(2099, 12, 14))
    assert written["claude-opus-5"] == Notice()
    assert written["claude-sonnet-4-5"] == Notice(is_retired=True, retires=date(2026, 11, 30))
    assert NEW not in written
    assert [troubles.is_retired(name) for name in ("claude-opus-4-5", "claude-opus-5", "claude-sonnet-4-5", NEW)] == [
        False,
        False,
        True,
        False,
    ]


async def test_what_is_said_before_is_replaced(claude: Claude, redis: Redis) -> None:
    await write_notices(redis, {NEW: Notice(is_retired=True)})
    assert await _watch(claude, redis, Troubles()).look() == DAY_S
    assert NEW not in await read_notices(redis)


async def test_a_routes_key_is_asked_where_the_worker_has_none_that_works(simulator: Served, redis: Redis) -> None:
    async with _claude(simulator.url, key=None) as keyless, _claude(simulator.url, key="sk-ant-wrong") as refused:
        for claude in (keyless, refused):
            assert await _watch(claude, redis, Troubles(), "sk-ant-wrong", DEFAULT_KEY).look() == DAY_S
            assert await _watch(claude, redis, Troubles(), "sk-ant-wrong").look() == AGAIN_S
        assert await _watch(keyless, redis, Troubles()).look() == SOON_S


async def test_where_the_api_cannot_be_asked_the_word_of_another_worker_holds(redis: Redis) -> None:
    await write_notices(redis, GONE)
    troubles = Troubles()
    async with _claude("http://127.0.0.1:9", key=DEFAULT_KEY) as claude:
        assert await _watch(claude, redis, troubles).look() == AGAIN_S
    assert troubles.is_retired(OLD)
    assert await read_notices(redis) == GONE


async def test_a_proxy_that_knows_no_models_is_no_failure_of_the_worker(simulator: Served, redis: Redis) -> None:
    async with _claude(f"{simulator.url}/nothing", key=DEFAULT_KEY) as claude:
        with pytest.raises(RetryLater):
            await claude.notices(api_key=None)
        assert await _watch(claude, redis, Troubles()).look() == AGAIN_S


async def test_a_proxy_that_lists_every_model_makes_none_of_them_go_away(
    claude: Claude, simulator: Served, redis: Redis
) -> None:
    class Everything(Catalogue):
        def page(self, stages: Iterable[str], now: float, **rest: Any) -> dict[str, Any]:
            return super().page({"active", *stages}, now, **rest)

    simulator.simulator.catalogue = Everything()
    assert await _watch(claude, redis, Troubles()).look() == DAY_S
    written = await read_notices(redis)
    assert (NEW in written, "claude-sonnet-4-5" in written) == (False, True)


async def test_what_is_written_and_makes_no_sense_is_nothing(redis: Redis) -> None:
    await redis.set(keys.notices(), b"[1, 2]")
    assert await read_notices(redis) == {}


async def test_the_api_is_asked_every_day_and_sooner_after_a_failure(redis: Redis) -> None:
    waits: list[float] = []
    answers = iter((RetryLater("away"), GONE, {}))

    class Api(FakeClaude):
        async def notices(self, **_: Any) -> dict[str, Notice]:
            answer = next(answers)
            if isinstance(answer, RetryLater):
                raise answer
            return answer

    class Enough(Exception):
        pass

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise Enough

    with pytest.raises(Enough):
        await ModelWatch(Api(), redis, plans=list, troubles=Troubles(), pause=pause).run()
    assert waits == [AGAIN_S, DAY_S, DAY_S]


async def test_what_redis_did_not_take_is_known_to_the_worker_and_asked_for_again_soon(claude: Claude) -> None:
    troubles, away = Troubles(), connect(f"redis://127.0.0.1:{free_port()}/0")
    assert await _watch(claude, away, troubles).look() == AGAIN_S
    assert troubles.is_retired("claude-sonnet-4-5")
    await away.aclose()


def test_what_is_said_of_a_dated_name_holds_for_the_name_without_the_date() -> None:
    dated = {"claude-haiku-4-5-20251001": Notice(is_retired=True)}
    assert with_aliases(dated) == {**dated, OLD: Notice(is_retired=True)}
    assert with_aliases({**dated, OLD: Notice()})[OLD] == Notice()


async def test_what_needs_a_retired_model_waits_without_a_call_also_when_it_is_probed(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_S", 0.05)
    monkeypatch.setattr(keeper_module, "_PROBE_MS", 50)
    troubles, claude = Troubles(), FakeClaude()
    troubles.read_notices(GONE)
    routes = FakeRoutes(worker_route(prompts=(prompt_rule(model=model_call(name=OLD)),)))
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    delivery = await admit(redis, sample_delivery())
    cause = f"own:{OLD}"

    async def has_settled() -> bool:
        return await state(redis, delivery) == "settled"

    async with keeping(redis, troubles=troubles, routes=routes), running(redis, runner, slots=1):
        for _ in range(3):  # each probe finds it retired still
            await until(lambda: redis.hexists(GROUP.probed, cause))
            await redis.hdel(GROUP.probed, cause)
        assert claude.asked == []
        assert await redis.zcard(GROUP.parked(cause)) <= 1
        assert (await dead_letters(redis), (await fields(redis, delivery)).get("attempts", "0")) == ([], "0")
        troubles.read_notices({})  # the date was put off
        await until(has_settled)
    assert len(claude.asked) == 1


def test_a_trouble_of_the_whole_key_is_told_before_a_retirement() -> None:
    troubles = Troubles()
    troubles.read_notices(GONE)
    retired = troubles.standing("own", OLD)
    assert retired == Trouble(reason=DeadReason.NOT_FOUND, detail="retired since 2026-11-30", key_id="own", model=OLD)
    unpaid = Trouble(reason=DeadReason.BILLING, detail="402", key_id="own")
    troubles.meet(unpaid)
    assert troubles.standing("own", OLD) == unpaid
    assert troubles.standing("other", OLD) is not None
    assert troubles.is_gone("own", OLD)
    assert not troubles.is_gone("own", NEW)
