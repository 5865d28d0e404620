"""Tools on the API's side: the API runs them within a call, a paused turn goes on, and what they cost is counted."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from eventroute.models import Models
from eventroute.outbound import OutboundRules
from eventroute.outcome import RunOutcome
from eventroute.prompt import Prompt
from eventroute.route_table import HttpTool, ModelCall, ServedTool, TalkLimits
from eventroute.runtime import tracing
from eventroute.runtime.metrics import REGISTRY
from eventroute.secret import Secret
from eventroute.served import McpServer, serve, serve_mcp
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.journal import key_id
from eventroute_cli.simulator.server import Served
from eventroute_worker.answer import Answer, Reply, decode_answer
from eventroute_worker.attempt import Attempt, End, Later, Parked, Settled
from eventroute_worker.claude import Claude
from eventroute_worker.outbound import Outbound
from eventroute_worker.pricing import Prices
from support.budgets import budget, stands
from support.queue import GROUP, admit, fields, lease, lease_again
from support.routes import model_call
from support.runs import FakeClaude, FakeRoutes, build_runner, prompt_rule, results, sample_delivery, worker_route
from support.tool_server import serving_tools

pytestmark = pytest.mark.real

TOKEN = "hush-5b1f0c8de2a9"
SEARCH = ServedTool(offer=serve("web_search", max_uses=5))
FETCH = ServedTool(offer=serve("web_fetch", max_uses=5, allowed_domains=["example.com"]))
CODE = ServedTool(offer=serve("code_execution"))
TRACKER = ServedTool(
    offer=serve_mcp(McpServer("tracker", "https://mcp.example.com/mcp"), ["find"]), token=Secret(f"{TOKEN}\n".encode())
)
PAUSE = Fault(kind=FaultKind.PAUSE_TURN)


@pytest.fixture
async def claude(simulator: Served) -> AsyncIterator[Claude]:
    key = Secret(DEFAULT_KEY.encode())
    async with Claude(
        api_key=key, base_url=simulator.url, propagate_trace=False, prices=Prices(Models.load())
    ) as client:
        yield client


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    return exporter


def use(tool: str, **changes: Any) -> Fault:
    return Fault(**{"kind": FaultKind.TOOL_USE, "tool": tool, **changes})


def routes(*served: ServedTool, tools: tuple[HttpTool, ...] = (), budgets: Any = (), **limits: Any) -> FakeRoutes:
    model = model_call(name="claude-sonnet-5-5", maxTokens=4096)
    prompt = prompt_rule(served=served, tools=tools, limits=TalkLimits(**limits), model=model)
    return FakeRoutes(worker_route(prompts=(prompt,), budgets=budgets))


async def attempt(redis: Redis, claude: Claude, table: FakeRoutes, **options: Any) -> End:
    await admit(redis, sample_delivery())
    return await build_runner(redis, claude=claude, routes=table, **options)(Attempt(await lease(redis)))


async def run(redis: Redis, claude: Claude, table: FakeRoutes, **options: Any) -> Settled:
    end = await attempt(redis, claude, table, **options)
    assert isinstance(end, Settled)
    return end


async def saved(redis: Redis) -> Answer:
    return decode_answer((await fields(redis, sample_delivery().id))["answer"].encode())


def asked(simulator: Served) -> list[dict[str, Any]]:
    return [entry.body for entry in simulator.simulator.journal.entries()]


def about(end: Settled) -> Any:
    raw = end.fields["about"]
    assert isinstance(raw, bytes)
    return msgspec.json.decode(raw)


def calls(end: Settled) -> list[tuple[str, str]]:
    return [(each["name"], each["outcome"]) for each in about(end).get("calls", [])]


def counted(kind: str, outcome: str) -> float:
    labels = {"kind": kind, "outcome": outcome}
    return REGISTRY.get_sample_value("eventroute_worker_tool_calls_total", labels) or 0


async def test_what_is_searched_is_counted_priced_and_not_shown(
    redis: Redis, claude: Claude, simulator: Served, exporter: InMemorySpanExporter
) -> None:
    before = counted("web_search", "done")
    simulator.simulator.faults.add([use("web_search", calls=2, text="The answer.")])
    end = await run(redis, claude, routes(SEARCH))
    [body] = asked(simulator)
    assert body["tools"] == [SEARCH.offer.definition]
    answer = await saved(redis)
    tokens = answer.usage.input * Decimal(2) + answer.usage.output * Decimal(10)
    assert (answer.usage.web_searches, answer.cost_usd) == (2, tokens / 1_000_000 + Decimal("0.02"))
    assert (end.outcome, answer.text) == (RunOutcome.SUCCEEDED, "[simulated] The answer.")
    assert calls(end) == [("web_search", "done")] * 2
    assert counted("web_search", "done") == before + 2
    [entry] = await results(redis)
    assert msgspec.json.decode(entry["usage"])["web_searches"] == 2
    kept = str(await redis.hgetall(GROUP.delivery(sample_delivery().id)))
    for shown in (str(entry), str(end), kept, " ".join(span.to_json() for span in exporter.get_finished_spans())):
        assert "sealed-" not in shown
        assert "encrypted" not in shown
    [chat] = [span for span in exporter.get_finished_spans() if span.name.startswith("chat")]
    events = [(event.attributes or {}) for event in chat.events]
    assert [(each["gen_ai.tool.name"], each["eventroute.outcome"]) for each in events] == [("web_search", "done")] * 2


async def test_what_is_said_before_a_search_is_not_the_answer(redis: Redis, claude: Claude, simulator: Served) -> None:
    simulator.simulator.faults.add([PAUSE, Fault(kind=FaultKind.OK, text="Found.")])
    await run(redis, claude, routes(SEARCH))
    assert (await saved(redis)).text == "[simulated] Found."


async def test_a_paused_turn_goes_on_with_what_was_said_and_nothing_else(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    simulator.simulator.faults.add([PAUSE, PAUSE])
    end = await run(redis, claude, routes(SEARCH))
    first, second, third = asked(simulator)
    assert second["messages"][:-1] == first["messages"]
    assert third["messages"][:-1] == second["messages"]
    assert [message["role"] for message in third["messages"]] == ["user", "assistant", "assistant"]
    assert [block["type"] for block in third["messages"][1]["content"]] == ["server_tool_use", "text"]
    assert third["tools"] == first["tools"]
    answer, record = await saved(redis), await fields(redis, sample_delivery().id)
    given = [entry.given for entry in simulator.simulator.journal.entries()]
    assert answer.usage.output == sum(each.output_tokens for each in given)
    assert answer.usage.web_searches == 2
    assert calls(end) == [("web_search", "done")] * 2
    assert not [name for name in record if name.startswith("talk")]


async def test_pauses_are_turns_and_end_at_their_limit_without_a_word_of_ours(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    simulator.simulator.faults.add([msgspec.structs.replace(PAUSE, times=9)])
    end = await run(redis, claude, routes(SEARCH, turns=3))
    assert [body.get("tool_choice") for body in asked(simulator)] == [None, None, {"type": "none"}]
    assert asked(simulator)[-1]["messages"][-1]["role"] == "assistant"
    assert (end.outcome, end.detail) == (RunOutcome.TRUNCATED, "stop reason pause_turn")


async def test_an_attempt_that_is_cut_short_goes_on_after_the_pause_that_was_paid_for(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    table = routes(SEARCH)
    simulator.simulator.faults.add([PAUSE, Fault(kind=FaultKind.API_ERROR)])
    assert isinstance(await attempt(redis, claude, table), Later)
    again = Attempt(await lease_again(redis, sample_delivery().id))
    end = await build_runner(redis, claude=claude, routes=table)(again)
    assert isinstance(end, Settled)
    assert [len(body["messages"]) for body in asked(simulator) if body] == [1, 2, 2]
    assert (end.outcome, calls(end)) == (RunOutcome.SUCCEEDED, [("web_search", "done")])


async def test_beside_a_tool_of_ours_a_search_waits_for_its_result_and_for_nothing_else(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    async with (
        serving_tools() as service,
        Outbound(OutboundRules.model_validate({"mode": "dev", "ports": (service.port,)})) as way,
    ):
        own = HttpTool(
            name="look_up",
            description="Looks up.",
            input_schema={"type": "object", "properties": {}, "additionalProperties": False},
            method="GET",
            url=service.url,
            timeout_s=2.0,
            max_bytes=1000,
            side_effect=False,
        )
        simulator.simulator.faults.add([use("look_up", beside="web_search", input={})])
        end = await run(redis, claude, routes(SEARCH, tools=(own,), turns=2), way=way)
    _, second = asked(simulator)
    assert [part["type"] for part in second["messages"][-1]["content"]] == ["tool_result"]
    assert second["tool_choice"] == {"type": "none"}
    assert (end.outcome, calls(end)) == (RunOutcome.SUCCEEDED, [("web_search", "done"), ("look_up", "done")])


async def test_what_goes_wrong_on_the_apis_side_is_in_the_record_and_costs_nothing(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    simulator.simulator.faults.add([use("web_search", fails="unavailable")])
    end = await run(redis, claude, routes(SEARCH))
    assert [(each["outcome"], each["why"]) for each in about(end)["calls"]] == [("failed", "unavailable")]
    answer = await saved(redis)
    assert (answer.usage.web_searches, end.outcome) == (0, RunOutcome.SUCCEEDED)
    assert answer.cost_usd is not None
    assert answer.cost_usd < Decimal("0.01")


@pytest.mark.parametrize(("served", "is_known"), [((CODE,), False), ((CODE, FETCH), True)])
async def test_code_has_an_unknown_cost_unless_it_is_free(
    redis: Redis, claude: Claude, simulator: Served, served: tuple[ServedTool, ...], *, is_known: bool
) -> None:
    simulator.simulator.faults.add([use("code_execution")])
    end = await run(redis, claude, routes(*served))
    answer = await saved(redis)
    assert (answer.usage.code_executions, answer.cost_usd is not None) == (1, is_known)
    assert calls(end) == [("bash_code_execution", "done")]


async def test_code_goes_on_where_it_was_run_before(redis: Redis, claude: Claude, simulator: Served) -> None:
    simulator.simulator.faults.add([msgspec.structs.replace(PAUSE, tool="code_execution")])
    await run(redis, claude, routes(CODE))
    first, second = asked(simulator)
    assert "container" not in first
    assert second["container"].startswith("container_")
    assert "container" not in await fields(redis, sample_delivery().id)


async def test_a_server_is_called_by_the_api_and_its_token_is_nowhere_else(
    redis: Redis,
    claude: Claude,
    simulator: Served,
    exporter: InMemorySpanExporter,
    capfd: pytest.CaptureFixture[str],
) -> None:
    simulator.simulator.faults.add([msgspec.structs.replace(PAUSE, tool="find"), use("find", text="Found.")])
    table = routes(TRACKER)
    end = await run(redis, claude, table)
    entries = simulator.simulator.journal.entries()
    for entry in entries:
        assert entry.headers["anthropic-beta"] == "mcp-client-2025-11-20"
        assert entry.body["tools"] == [TRACKER.offer.definition]
        shown = {"type": "url", "name": "tracker", "url": "https://mcp.example.com/mcp"}
        assert entry.body["mcp_servers"] == [{**shown, "authorization_token": key_id(TOKEN)}]
    assert [body["messages"][-1]["role"] for body in asked(simulator)] == ["user", "assistant"]
    assert calls(end) == [("tracker.find", "done")] * 2
    assert (await saved(redis)).usage.mcp_calls == 2
    spans = " ".join(span.to_json() for span in exporter.get_finished_spans())
    captured = capfd.readouterr()
    stored = [str(await redis.dump(key)) for key in await redis.keys("*")]
    for place in (spans, captured.out, captured.err, str(end), repr(table._plans), *stored):
        assert "hush" not in place


async def test_a_server_that_the_manifest_has_no_more_is_not_called_any_more(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    simulator.simulator.faults.add([PAUSE, Fault(kind=FaultKind.API_ERROR)])
    assert isinstance(await attempt(redis, claude, routes(SEARCH, TRACKER)), Later)
    again = Attempt(await lease_again(redis, sample_delivery().id))
    await build_runner(redis, claude=claude, routes=routes(SEARCH))(again)
    last = simulator.simulator.journal.entries()[-1]
    assert ("mcp_servers" in last.body, "anthropic-beta" in last.headers) == (False, False)
    assert last.body["tools"] == [SEARCH.offer.definition]


class Watched(FakeClaude):
    """Looks at the account while it is asked."""

    def __init__(self, redis: Redis, rule: Any) -> None:
        super().__init__()
        self.reserved: list[int] = []
        self._redis = redis
        self._rule = rule

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        self.reserved.append((await stands(self._redis, self._rule))[1].micro_usd)
        return await super().ask(call, prompt, api_key=api_key)


async def test_a_call_is_reserved_with_all_its_searches_and_what_they_bring(redis: Redis) -> None:
    rule = budget(micro_usd=10_000_000)
    fake = Watched(redis, rule)
    await admit(redis, sample_delivery())
    end = await build_runner(redis, claude=fake, routes=routes(SEARCH, budgets=(rule,)))(Attempt(await lease(redis)))
    assert isinstance(end, Settled)
    tokens = 5 * 6 // 2 * 10_000  # each of five results is read in every round after it
    searches, read = (
        50_000,
        tokens * 4,
    )  # in millionths: as many dollars as a million tokens written to the cache for an hour
    assert fake.reserved[0] > searches + read


async def test_searches_alone_may_be_more_than_a_budget_has(redis: Redis) -> None:
    table = routes(SEARCH, budgets=(budget(micro_usd=49_000),))
    await admit(redis, sample_delivery())
    end = await build_runner(redis, claude=FakeClaude(), routes=table)(Attempt(await lease(redis)))
    assert not isinstance(end, Parked)
    assert isinstance(end, Settled)
    assert (end.outcome, end.reason) == (RunOutcome.DEAD, "budget")
