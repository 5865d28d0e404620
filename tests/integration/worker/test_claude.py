"""Calls to Claude through the SDK and over HTTP, against the simulator: each fault and each stop reason."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from eventroute.models import Models
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.prompt import Prompt
from eventroute.route_table import ModelCall
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.models import MODELS, RETIREMENTS
from eventroute_cli.simulator.server import Served
from eventroute_worker.answer import Answer, Failed, GivenUp, Passing, Reply, Standing
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices
from support.routes import model_call

pytestmark = pytest.mark.real

CALL = model_call(maxTokens=256, timeout="5s")
PROMPT = Prompt("Summarize.", "Event push from github.", ())


@pytest.fixture
async def claude(simulator: Served) -> AsyncIterator[Claude]:
    async with _claude(simulator) as client:
        yield client


def _claude(simulator: Served, *, key: str = DEFAULT_KEY, propagate: bool = False) -> Claude:
    return Claude(
        api_key=Secret(key.encode()) if key else None,
        base_url=simulator.url,
        propagate_trace=propagate,
        prices=Prices(Models.load()),
    )


async def _ask(claude: Claude, simulator: Served, *faults: Fault, call: ModelCall = CALL) -> Reply:
    simulator.simulator.faults.add(faults)
    return await claude.ask(call, PROMPT, api_key=None)


async def test_an_answer_comes_with_model_usage_cost_and_request_id(claude: Claude, simulator: Served) -> None:
    reply = await _ask(claude, simulator)
    assert isinstance(reply, Answer)
    assert reply.outcome is RunOutcome.SUCCEEDED
    assert reply.text.startswith("[simulated]")
    assert reply.model == "claude-haiku-5-5"
    [asked] = simulator.simulator.journal.entries()
    assert reply.request_id == asked.request_id
    usage = reply.usage
    assert (usage.prompt, usage.output) == (asked.given.input_tokens, asked.given.output_tokens)
    assert reply.cost_usd == (Decimal(usage.input) + 5 * Decimal(usage.output)) / 10_000_000


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
@pytest.mark.parametrize(
    ("model", "thinking", "effort"),
    [
        ({}, "disabled", "low"),
        ({"name": "claude-sonnet-5-5"}, "between_tools", "low"),
        ({"name": "claude-opus-5-5"}, "adaptive", "low"),
        ({"name": "claude-fable-5-2"}, "adaptive", "low"),
        ({"name": "claude-opus-4-8"}, "disabled", "low"),
        ({"name": "claude-haiku-4-5-20251001"}, "disabled", ""),
        ({"name": "claude-sonnet-5-5", "thinking": "auto"}, "adaptive", "low"),
        ({"thinking": "auto", "effort": "high"}, "adaptive", "high"),
        ({"thinking": "off", "effort": "high"}, "disabled", "high"),
        ({"effort": "max"}, "adaptive", "max"),
        ({"name": "claude-haiku-4-5", "thinking": "auto"}, "", ""),
        ({"name": "claude-opus-4-6", "thinking": "auto", "effort": "max"}, "adaptive", "max"),
    ],
)
async def test_a_call_says_how_much_the_model_is_to_think(
    claude: Claude, simulator: Served, model: dict[str, str], thinking: str, effort: str
) -> None:
    call = model_call(maxTokens=3000, **model)
    reply = await _ask(claude, simulator, call=call)
    [asked] = simulator.simulator.journal.entries()
    assert (asked.model, asked.max_tokens, asked.system) == (call.name, 3000, PROMPT.system)
    assert (asked.thinking, asked.effort) == (thinking, effort)
    assert isinstance(reply, Answer)
    assert reply.text.startswith("[simulated]")  # also where a thinking block comes first


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
async def test_no_model_that_the_api_has_refuses_what_is_sent(claude: Claude, simulator: Served) -> None:
    for model in MODELS.keys() - RETIREMENTS.keys():
        assert isinstance(await _ask(claude, simulator, call=model_call(name=model)), Answer), model


async def test_an_answer_without_a_text_says_that_it_only_thought_and_has_its_cost(
    claude: Claude, simulator: Served
) -> None:
    reply = await _ask(claude, simulator, call=model_call(thinking="auto", effort="max", maxTokens=64))
    assert isinstance(reply, Answer)
    assert (reply.outcome, reply.reason, reply.text) == (RunOutcome.NO_TEXT, "thinking_only", "")
    assert (reply.usage.output, reply.usage.thinking) == (64, 64)
    assert reply.cost_usd
    assert reply.cost_usd > Decimal(64) * Decimal("0.50") / 1_000_000


async def test_an_answer_that_is_cut_short_is_truncated_and_has_its_cost(claude: Claude, simulator: Served) -> None:
    reply = await _ask(claude, simulator, Fault(kind=FaultKind.MAX_TOKENS))
    assert isinstance(reply, Answer)
    assert (reply.outcome, reply.stop_reason, bool(reply.text)) == (RunOutcome.TRUNCATED, "max_tokens", True)
    assert reply.cost_usd


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
async def test_a_retired_model_is_not_found(claude: Claude, simulator: Served) -> None:
    reply = await _ask(claude, simulator, call=ModelCall(name="claude-sonnet-4-5", max_tokens=64, timeout_s=5))
    assert isinstance(reply, Standing)
    assert (reply.reason, reply.whole_key) == (DeadReason.NOT_FOUND, False)
    assert "404 not_found_error" in reply.detail


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (FaultKind.END_TURN, RunOutcome.SUCCEEDED),
        (FaultKind.STOP_SEQUENCE, RunOutcome.SUCCEEDED),
        (FaultKind.MAX_TOKENS, RunOutcome.TRUNCATED),
        (FaultKind.TOOL_USE, RunOutcome.TRUNCATED),
        (FaultKind.PAUSE_TURN, RunOutcome.TRUNCATED),
        (FaultKind.REFUSAL, RunOutcome.REFUSED),
        (FaultKind.CONTEXT_WINDOW, RunOutcome.TRUNCATED),
    ],
)
async def test_each_stop_reason_has_an_outcome(
    claude: Claude, simulator: Served, kind: FaultKind, outcome: RunOutcome
) -> None:
    reply = await _ask(claude, simulator, Fault(kind=kind))
    assert isinstance(reply, Answer)
    assert (reply.stop_reason, reply.outcome) == (kind, outcome)
    assert reply.reason == ("general_harms" if outcome is RunOutcome.REFUSED else "")


@pytest.mark.parametrize(
    ("kind", "reason", "whole_key"),
    [
        (FaultKind.AUTHENTICATION, DeadReason.AUTHENTICATION, True),
        (FaultKind.BILLING, DeadReason.BILLING, True),
        (FaultKind.PERMISSION, DeadReason.PERMISSION, False),
        (FaultKind.NOT_FOUND, DeadReason.NOT_FOUND, False),
        (FaultKind.ENFORCED_SPEND_LIMIT, DeadReason.BILLING, True),
        (FaultKind.CONTRACT_SPEND_LIMIT, DeadReason.BILLING, True),
        (FaultKind.OWN_SPEND_LIMIT, DeadReason.BILLING, True),
        (FaultKind.WORKSPACE_SPEND_LIMIT, DeadReason.BILLING, True),
        (FaultKind.CREDIT_BALANCE, DeadReason.BILLING, True),
        (FaultKind.ON_HOLD, DeadReason.PERMISSION, True),
    ],
)
async def test_each_trouble_of_key_account_and_model_is_standing(
    claude: Claude, simulator: Served, kind: FaultKind, reason: DeadReason, *, whole_key: bool
) -> None:
    reply = await _ask(claude, simulator, Fault(kind=kind))
    assert isinstance(reply, Standing)
    assert (reply.reason, reply.whole_key) == (reason, whole_key)
    assert len(simulator.simulator.journal.entries()) == 1


async def test_a_spend_limit_that_says_it_in_other_words_is_the_deliverys_fault_and_told_with_its_type(
    claude: Claude, simulator: Served
) -> None:
    reply = await _ask(claude, simulator, Fault(kind=FaultKind.OWN_SPEND_LIMIT, message="No more money is to be spent"))
    assert isinstance(reply, GivenUp)
    assert reply.detail.startswith("400 invalid_request_error (request req_")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (FaultKind.INVALID_REQUEST, DeadReason.INVALID_REQUEST),
        (FaultKind.TOO_LARGE, DeadReason.TOO_LARGE),
    ],
)
async def test_the_deliverys_own_faults_are_given_up(
    claude: Claude, simulator: Served, kind: FaultKind, reason: DeadReason
) -> None:
    reply = await _ask(claude, simulator, Fault(kind=kind))
    assert isinstance(reply, GivenUp)
    assert reply.reason is reason
    assert len(simulator.simulator.journal.entries()) == 1


@pytest.mark.parametrize(
    "kind",
    [
        *(FaultKind.RATE_LIMIT, FaultKind.RAMP_LIMIT, FaultKind.REQUEST_TIMEOUT, FaultKind.CONFLICT),
        *(FaultKind.CLIENT_CLOSED, FaultKind.API_ERROR, FaultKind.UNAVAILABLE, FaultKind.TIMEOUT),
        *(FaultKind.OVERLOADED, FaultKind.CUT, FaultKind.CUT_BODY),
    ],
)
async def test_passing_troubles_are_told_after_one_request(claude: Claude, simulator: Served, kind: FaultKind) -> None:
    assert isinstance(await _ask(claude, simulator, Fault(kind=kind)), Passing)
    assert len(simulator.simulator.journal.entries()) == 1


async def test_an_unreadable_answer_costs_the_attempt(claude: Claude, simulator: Served) -> None:
    reply = await _ask(claude, simulator, Fault(kind=FaultKind.MALFORMED))
    assert isinstance(reply, Failed)
    assert not reply.timed_out


async def test_the_wait_that_a_rate_limit_names_is_passed_on_not_slept(claude: Claude, simulator: Served) -> None:
    started = time.monotonic()
    reply = await _ask(claude, simulator, Fault(kind=FaultKind.RATE_LIMIT, retry_after_s=7))
    assert isinstance(reply, Passing)
    assert reply.after_s == 7
    assert time.monotonic() - started < 3


async def test_a_call_that_hangs_ends_at_its_timeout(claude: Claude, simulator: Served) -> None:
    short = ModelCall(name="claude-haiku-5-5", max_tokens=256, timeout_s=0.3)
    reply = await _ask(claude, simulator, Fault(kind=FaultKind.HANG), call=short)
    assert isinstance(reply, Failed)
    assert reply.timed_out


async def test_nobody_listening_is_a_passing_trouble() -> None:
    async with Claude(
        api_key=Secret(b"k"),
        base_url="http://127.0.0.1:9",
        propagate_trace=False,
        prices=Prices(Models.load()),
    ) as claude:
        assert isinstance(await claude.ask(CALL, PROMPT, api_key=None), Passing)


async def test_a_connection_that_takes_too_long_passes_also_where_the_call_may_take_less() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = silent.getsockname()
        with socket.socket() as first, socket.socket() as second:  # fill the backlog: the next one is not answered
            for filler in (first, second):
                filler.settimeout(0)
                filler.connect_ex(address)
            async with Claude(
                api_key=Secret(b"k"),
                base_url=f"http://127.0.0.1:{address[1]}",
                propagate_trace=False,
                prices=Prices(Models.load()),
            ) as claude:
                short = ModelCall(name="claude-haiku-5-5", max_tokens=64, timeout_s=1)
                assert await claude.ask(short, PROMPT, api_key=None) == Passing(detail="the connection timed out")


async def test_a_wrong_key_and_no_key_are_authentication_failures(
    simulator: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", DEFAULT_KEY)  # of the machine, and none of the worker's business
    for key in ("sk-ant-wrong", "", "  \n"):
        async with _claude(simulator, key=key) as claude:
            reply = await claude.ask(CALL, PROMPT, api_key=None)
        assert isinstance(reply, Standing)
        assert (reply.reason, reply.whole_key) == (DeadReason.AUTHENTICATION, True)


async def test_a_routes_own_key_goes_before_the_workers(simulator: Served) -> None:
    async with _claude(simulator, key="sk-ant-wrong") as claude:
        assert isinstance(await claude.ask(CALL, PROMPT, api_key=Secret(f"{DEFAULT_KEY}\n".encode())), Answer)


async def test_a_key_that_was_refused_is_replaced_by_its_file_without_a_restart(
    simulator: Served, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("sk-ant-wrong")
    async with Claude(
        api_key=Secret(b"sk-ant-wrong"),
        base_url=simulator.url,
        propagate_trace=False,
        prices=Prices(Models.load()),
        key_file=file,
        idle_s=0,
    ) as claude:
        wrong = claude.key_id(None)
        assert isinstance(await claude.ask(CALL, PROMPT, api_key=None), Standing)
        [old] = claude._clients.values()
        file.write_text(f"{DEFAULT_KEY}\n")
        assert isinstance(await claude.ask(CALL, PROMPT, api_key=None), Answer)
        assert list(claude._clients) == [DEFAULT_KEY]
        assert old.sdk.is_closed()
        assert claude.key_id(None) == claude.key_id(Secret(DEFAULT_KEY.encode())) != wrong


async def test_a_client_in_use_is_not_closed_however_long_its_call_takes(simulator: Served) -> None:
    simulator.simulator.faults.add([Fault(kind=FaultKind.OK, delay_s=0.3)])
    async with Claude(
        api_key=Secret(DEFAULT_KEY.encode()),
        base_url=simulator.url,
        propagate_trace=False,
        prices=Prices(Models.load()),
        idle_s=0,
    ) as claude:
        slow = asyncio.create_task(claude.ask(CALL, PROMPT, api_key=None))
        await asyncio.sleep(0.1)
        assert isinstance(await claude.ask(CALL, PROMPT, api_key=Secret(b"sk-ant-wrong")), Standing)
        assert isinstance(await slow, Answer)


async def test_calls_at_the_same_time_close_an_idle_client_once_and_none_that_one_of_them_uses(
    simulator: Served,
) -> None:
    simulator.simulator.faults.clear()
    async with Claude(
        api_key=Secret(DEFAULT_KEY.encode()),
        base_url=simulator.url,
        propagate_trace=False,
        prices=Prices(Models.load()),
        idle_s=0,
    ) as claude:
        keys = [Secret(name) for name in (b"one", b"two", b"three", b"used")]
        await asyncio.gather(*(claude.ask(CALL, PROMPT, api_key=key) for key in keys))
        idle = [client.sdk for name, client in claude._clients.items() if name in ("one", "two", "three")]
        calls = (None, None, keys[-1], keys[-1])
        replies = await asyncio.gather(*(claude.ask(CALL, PROMPT, api_key=key) for key in calls))
        assert [type(reply) for reply in replies] == [Answer, Answer, Standing, Standing]
        assert [sdk.is_closed() for sdk in idle] == [True, True, True]


async def test_no_trace_context_leaves_the_installation_unless_told(claude: Claude, simulator: Served) -> None:
    outside = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    with use_span(NonRecordingSpan(outside)):
        await _ask(claude, simulator)
    [asked] = simulator.simulator.journal.entries()
    assert "traceparent" not in asked.headers


async def test_an_answer_that_trickles_in_ends_at_the_timeout_too() -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
        for _tick in range(30):
            writer.write(b" ")
            await asyncio.sleep(0.05)
        writer.close()
        ended.set()

    ended = asyncio.Event()

    short = ModelCall(name="claude-haiku-5-5", max_tokens=256, timeout_s=0.4)
    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server, asyncio.timeout(5):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Claude(
            api_key=Secret(b"k"), base_url=url, propagate_trace=False, prices=Prices(Models.load())
        ) as claude:
            reply = await claude.ask(short, PROMPT, api_key=None)
        await ended.wait()
    assert isinstance(reply, Failed)
    assert reply.timed_out


async def test_the_system_text_is_cached_once_it_is_asked_again_and_the_event_never_is(
    claude: Claude, simulator: Served
) -> None:
    system = "Judge this with care. " * 100
    replies = [
        await claude.ask(model_call(), Prompt(system, f"Event {number}.", ()), api_key=None) for number in range(3)
    ]
    plain, writing, reading = simulator.simulator.journal.entries()
    assert plain.body["system"] == system
    control = {"type": "ephemeral", "ttl": "5m"}
    assert writing.body["system"] == [{"type": "text", "text": system, "cache_control": control}]
    assert reading.body["system"] == writing.body["system"]
    for number, entry in enumerate((plain, writing, reading)):
        assert entry.body["messages"] == [{"role": "user", "content": f"Event {number}."}]
        assert "cache_control" not in entry.body
    usages = [reply.usage for reply in replies if isinstance(reply, Answer)]
    cached = usages[1].cache_write
    assert [(usage.cache_write, usage.cache_read) for usage in usages] == [(0, 0), (cached, 0), (0, cached)]
    assert cached > 512
    costs = [reply.cost_usd or 0 for reply in replies if isinstance(reply, Answer)]
    assert costs == [Prices(Models.load()).cost("claude-haiku-5-5", usage) for usage in usages]
    assert costs[1] > costs[0] > costs[2]


async def test_what_is_cached_for_an_hour_is_told_and_priced_so(claude: Claude, simulator: Served) -> None:
    prompt = Prompt("Judge this within the hour. " * 100, "Event.", ())
    reply = await claude.ask(model_call(cache="1h"), prompt, api_key=None)
    [asked] = simulator.simulator.journal.entries()
    assert asked.body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert isinstance(reply, Answer)
    assert (reply.usage.cache_write, reply.usage.cache_write_1h > 512) == (0, True)


async def test_a_short_system_text_is_sent_as_it_is(claude: Claude, simulator: Served) -> None:
    for _ in range(3):
        await claude.ask(model_call(cache="5m"), PROMPT, api_key=None)
    assert {entry.body["system"] for entry in simulator.simulator.journal.entries()} == {PROMPT.system}
