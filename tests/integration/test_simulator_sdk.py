"""The official SDK over real HTTP takes the simulator for Claude: answers, errors, limits and broken connections."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args, get_type_hints

import httpx
import pytest
from anthropic import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncAnthropic,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentTooLargeError,
    DefaultAioHttpClient,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RampLimitExceededError,
    RateLimitError,
)
from anthropic._data.deprecated_models import DEPRECATED_MODELS
from anthropic._exceptions import (
    GatewayTimeoutError,
    OverloadedError,
    PaymentRequiredError,
    RequestTimeoutError,
    ServiceUnavailableError,
)
from anthropic.types import ContentBlockParam, Message, MessageParam, ToolUnionParam, model
from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsBase
from pydantic import BaseModel

from eventroute_cli.simulator import conversation, models, tools
from eventroute_cli.simulator import request as api_request
from eventroute_cli.simulator.api import DEFAULT_KEY, SimulatorSettings
from eventroute_cli.simulator.faults import STOP_REASONS, Fault, FaultKind
from eventroute_cli.simulator.limits import RateLimits
from eventroute_cli.simulator.server import Served, serving
from support.waiting import until

pytestmark = pytest.mark.real

CALL: dict[str, Any] = {"model": "claude-haiku-5-5", "max_tokens": 256, "thinking": {"type": "disabled"}}
HI: list[MessageParam] = [{"role": "user", "content": "Event invoice.payment_failed from stripe:"}]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def served(server: Served) -> Served:
    server.simulator.faults.clear()
    server.simulator.journal.clear()
    return server


@pytest.fixture
async def claude(served: Served) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(
        api_key=DEFAULT_KEY, base_url=served.url, max_retries=0, timeout=5, http_client=DefaultAioHttpClient()
    ) as client:
        yield client


async def ask(claude: AsyncAnthropic, **changes: Any) -> Message:
    call: dict[str, Any] = {**CALL, "messages": HI, **changes}
    message = await claude.messages.create(**call)
    assert isinstance(message, Message)
    return message


async def test_an_answer_names_the_event_and_is_marked(claude: AsyncAnthropic) -> None:
    message = await ask(claude)
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith("[simulated]")
    assert "invoice.payment_failed" in message.content[0].text
    assert (message.stop_reason, message.usage.input_tokens) == ("end_turn", 11)
    assert message.usage.output_tokens > 10


async def test_a_stream_ends_as_the_same_message(claude: AsyncAnthropic) -> None:
    whole = await ask(claude)
    async with claude.messages.stream(**CALL, messages=HI) as stream:
        text = "".join([part async for part in stream.text_stream])
        streamed = await stream.get_final_message()
    assert whole.content[0].type == "text"
    assert text == whole.content[0].text
    assert (streamed.stop_reason, streamed.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)


@pytest.mark.parametrize(
    ("kind", "raised", "error_type"),
    [
        ("400", BadRequestError, "invalid_request_error"),
        ("401", AuthenticationError, "authentication_error"),
        ("402", PaymentRequiredError, "billing_error"),
        ("403", PermissionDeniedError, "permission_error"),
        ("404", NotFoundError, "not_found_error"),
        ("408", RequestTimeoutError, "timeout_error"),
        ("409", ConflictError, "conflict_error"),
        ("413", ContentTooLargeError, "request_too_large"),
        ("429", RateLimitError, "rate_limit_error"),
        ("500", InternalServerError, "api_error"),
        ("503", ServiceUnavailableError, "api_error"),
        ("504", GatewayTimeoutError, "timeout_error"),
        ("529", OverloadedError, "overloaded_error"),
    ],
)
async def test_each_scripted_status_is_the_error_class_of_the_sdk(
    served: Served, claude: AsyncAnthropic, kind: str, raised: type[APIStatusError], error_type: str
) -> None:
    served.simulator.faults.add([Fault(kind=FaultKind(kind), retry_after_s=7)])
    with pytest.raises(raised) as caught:
        await ask(claude)
    error = caught.value
    assert (error.status_code, error.type) == (int(kind), error_type)
    assert error.response.headers["retry-after"] == "7"
    assert error.request_id == served.simulator.journal.entries()[-1].request_id


@pytest.mark.parametrize("kind", sorted(STOP_REASONS))
@pytest.mark.parametrize("stream", [False, True])
async def test_each_stop_reason_reaches_the_client(
    served: Served, claude: AsyncAnthropic, kind: FaultKind, *, stream: bool
) -> None:
    served.simulator.faults.add([Fault(kind=kind)])
    if stream:
        async with claude.messages.stream(**CALL, messages=HI) as events:
            assert (await events.get_final_message()).stop_reason == kind
    else:
        assert (await ask(claude)).stop_reason == kind


async def test_a_hanging_request_is_the_timeout_of_the_sdk(served: Served, claude: AsyncAnthropic) -> None:
    served.simulator.faults.add([Fault(kind=FaultKind.HANG)])
    with pytest.raises(APITimeoutError):
        await ask(claude, timeout=0.2)


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.CUT_BODY])
async def test_a_cut_connection_is_the_connection_error_of_the_sdk(
    served: Served, claude: AsyncAnthropic, kind: FaultKind
) -> None:
    served.simulator.faults.add([Fault(kind=kind)])
    with pytest.raises(APIConnectionError) as caught:
        await ask(claude)
    assert not isinstance(caught.value, APITimeoutError)
    assert (await ask(claude)).stop_reason == "end_turn"


async def test_malformed_json_is_no_answer(served: Served, claude: AsyncAnthropic) -> None:
    served.simulator.faults.add([Fault(kind=FaultKind.MALFORMED)])
    with pytest.raises(json.JSONDecodeError):  # as the SDK has it: not one of its own errors
        await ask(claude)


async def test_limits_are_in_the_headers_of_every_answer(claude: AsyncAnthropic) -> None:
    raw = await claude.messages.with_raw_response.create(model="claude-haiku-5-5", max_tokens=9, messages=HI)
    assert raw.headers["anthropic-organization-id"]
    for name in ("requests", "tokens", "input-tokens", "output-tokens"):
        limit = int(raw.headers[f"anthropic-ratelimit-{name}-limit"])
        assert 0 < int(raw.headers[f"anthropic-ratelimit-{name}-remaining"]) <= limit
        assert raw.headers[f"anthropic-ratelimit-{name}-reset"].endswith("Z")
    assert raw.headers["request-id"].startswith("req_")


async def test_a_configured_limit_refuses_and_the_sdk_waits_as_told() -> None:
    with serving(SimulatorSettings(limits=RateLimits(requests=60))) as served:
        async with AsyncAnthropic(api_key=DEFAULT_KEY, base_url=served.url, max_retries=2) as claude:
            for _ in range(62):
                await ask(claude)
        statuses = [entry.given.status for entry in served.simulator.journal.entries()]
    assert statuses.count(200) == 62
    assert 1 <= statuses.count(429) <= 3


async def test_too_sharp_a_growth_is_the_ramp_limit_of_the_sdk() -> None:
    with serving(SimulatorSettings(limits=RateLimits(ramp=1), clock=lambda: 1_800_000_000.0)) as served:
        async with AsyncAnthropic(api_key=DEFAULT_KEY, base_url=served.url, max_retries=0) as claude:
            await ask(claude)
            with pytest.raises(RampLimitExceededError) as caught:
                await ask(claude)
    assert caught.value.response.headers["retry-after"] == "10"


async def test_limits_are_changed_over_http() -> None:
    with serving(SimulatorSettings(clock=lambda: 1_800_000_000.0)) as served:
        async with (
            httpx.AsyncClient(base_url=served.url) as control,
            AsyncAnthropic(api_key=DEFAULT_KEY, base_url=served.url, max_retries=0) as claude,
        ):
            await ask(claude)
            changed = await control.patch("/simulator/limits", json={"pool": "claude-haiku-5-5", "requests": 1})
            assert changed.json()["claude-haiku-5-5"]["requests"] == 1
            assert changed.json() == (await control.get("/simulator/limits")).json()
            await ask(claude)
            with pytest.raises(RateLimitError):
                await ask(claude)
            refused = await control.patch("/simulator/limits", json={"pool": "haiku"})
            assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_the_journal_tells_which_calls_ran_beside_each_other() -> None:
    with serving(SimulatorSettings(faults=(Fault(kind=FaultKind.OK, delay_s=0.3, times=2),))) as served:
        async with AsyncAnthropic(api_key=DEFAULT_KEY, base_url=served.url, max_retries=0) as claude:
            await asyncio.gather(ask(claude), ask(claude))
            await ask(claude)
        one, other, alone = served.simulator.journal.entries()
    assert one.received_ns < other.received_ns < one.ended_ns
    assert other.ended_ns - other.received_ns >= 290_000_000  # the wall clock may be set meanwhile
    assert alone.received_ns > max(one.ended_ns, other.ended_ns)
    assert not any(entry.client_gone for entry in (one, other, alone))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("faults", [(), (Fault(kind=FaultKind.HANG),)], ids=["late", "hang"])
async def test_a_call_ends_when_its_client_leaves(faults: tuple[Fault, ...], *, stream: bool) -> None:
    with serving(SimulatorSettings(latency_s=600, latency_spread=0, faults=faults)) as served:
        journal = served.simulator.journal
        async with AsyncAnthropic(api_key=DEFAULT_KEY, base_url=served.url, max_retries=0) as claude:
            call = asyncio.create_task(claude.messages.create(**CALL, messages=HI, stream=stream))
            await until(lambda: bool(journal.entries()))
            assert (journal.entries()[0].ended_ns, journal.entries()[0].client_gone) == (0, False)
            call.cancel()
            await until(lambda: journal.entries()[0].ended_ns > 0)
            assert journal.entries()[0].client_gone


async def test_a_connection_that_is_cut_ends_its_call(served: Served, claude: AsyncAnthropic) -> None:
    served.simulator.faults.add([Fault(kind=kind) for kind in (FaultKind.CUT, FaultKind.CUT_BODY)])
    for _ in range(2):
        with pytest.raises(APIConnectionError):
            await ask(claude)
    await until(lambda: all(entry.ended_ns > 0 for entry in served.simulator.journal.entries()))


async def test_a_wrong_key_is_refused(served: Served) -> None:
    async with AsyncAnthropic(api_key="sk-ant-wrong", base_url=served.url, max_retries=0) as claude:
        with pytest.raises(AuthenticationError, match="invalid x-api-key"):
            await ask(claude)


async def test_faults_and_requests_are_controlled_over_http(served: Served, claude: AsyncAnthropic) -> None:
    async with httpx.AsyncClient(base_url=served.url) as control:
        added = await control.post("/simulator/faults", json=[{"kind": "529", "match": "d-42", "times": 2}])
        assert added.json() == [{"fault": {"kind": "529", "times": 2, "match": "d-42"}, "left": 2, "taken": 0}]
        await ask(claude)
        with pytest.raises(OverloadedError):
            await ask(claude, messages=[{"role": "user", "content": "delivery d-42"}])
        assert (await control.get("/simulator/faults")).json()[0]["left"] == 1
        found = (await control.get("/simulator/requests", params={"containing": "d-42"})).json()
        assert [(entry["client"], entry["given"]["status"]) for entry in found] == [("127.0.0.1", 529)]
        assert (await control.delete("/simulator/requests")).status_code == 204
        assert (await control.delete("/simulator/faults")).status_code == 204
        assert (
            (await control.get("/simulator/requests")).json() == (await control.get("/simulator/faults")).json() == []
        )


async def test_a_wrong_script_is_refused_and_changes_nothing(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as control:
        refused = await control.post("/simulator/faults", json={"kind": "teapot"})
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
        assert "teapot" in refused.json()["error"]["message"]
        assert (await control.get("/simulator/faults")).json() == []


async def test_a_body_above_the_limit_of_the_api_is_refused(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        refused = await client.post("/v1/messages", content=b"x" * (api_request.MAX_BODY_BYTES + 1))
    assert (refused.status_code, refused.json()["error"]["type"]) == (413, "request_too_large")


async def test_other_paths_and_methods_are_refused_in_the_shape_of_the_api(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        missing, method = await client.get("/v1/nothing"), await client.get("/v1/messages")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
    assert (method.status_code, method.json()["error"]["type"]) == (405, "invalid_request_error")


async def test_models_are_listed_and_one_goes_away(served: Served, claude: AsyncAnthropic) -> None:
    listed = {model.id: model async for model in claude.models.list(limit=2)}
    assert listed.keys() == models.MODELS.keys() - {name for name in models.MODELS if _is_retired(served, name)}
    async with httpx.AsyncClient(base_url=served.url) as control:
        day = "2099-12-31T00:00:00Z"
        try:
            changed = await control.patch("/simulator/models", json={"model": "claude-opus-5", "retires_at": day})
            assert changed.status_code == 200
            info = await claude.models.retrieve("claude-opus-5")
            assert (info.lifecycle, str(info.retires_at)) == ("deprecated", "2099-12-31 00:00:00+00:00")
            assert [model.id async for model in claude.models.list(lifecycle=["deprecated"])] == ["claude-opus-5"]
            gone = {"model": "claude-opus-5", "lifecycle": "retired"}
            await control.patch("/simulator/models", json=gone)
            with pytest.raises(NotFoundError):
                await ask(claude, model="claude-opus-5")
        finally:
            await control.patch("/simulator/models", json={"model": "claude-opus-5"})
        assert (await control.patch("/simulator/models", json={"model": "x"})).status_code == 400


def _is_retired(served: Served, name: str) -> bool:
    return not served.simulator.catalogue.answers(name, time.time())


async def test_models_and_counts_ask_for_a_key_and_a_model_that_exists(served: Served, claude: AsyncAnthropic) -> None:
    with pytest.raises(NotFoundError):
        await claude.models.retrieve("claude-nothing")
    with pytest.raises(NotFoundError):
        await claude.messages.count_tokens(model="claude-nothing", messages=HI)
    with pytest.raises(BadRequestError):
        await claude.messages.count_tokens(model="claude-opus-5-5", messages=HI, thinking={"type": "disabled"})
    async with AsyncAnthropic(api_key="sk-ant-wrong", base_url=served.url, max_retries=0) as stranger:
        for call in (stranger.models.list(), stranger.messages.count_tokens(model="claude-opus-5-5", messages=HI)):
            with pytest.raises(AuthenticationError):
                await call


async def test_a_count_is_that_of_the_call(claude: AsyncAnthropic) -> None:
    counted = await claude.messages.count_tokens(model="claude-haiku-5-5", messages=HI)
    assert counted.input_tokens == (await ask(claude)).usage.input_tokens


async def test_a_tool_is_used_and_its_result_is_taken(served: Served, claude: AsyncAnthropic) -> None:
    tools = [{"name": "look_up", "input_schema": {"type": "object"}}]
    served.simulator.faults.add([Fault(kind=FaultKind.TOOL_USE, calls=2)])
    first = await ask(claude, tools=tools, thinking={"type": "adaptive"}, max_tokens=1024)
    uses = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "found"} for use in uses]
    turns = [*HI, first.to_param(), {"role": "user", "content": results}]
    last = await ask(claude, tools=tools, thinking={"type": "adaptive"}, max_tokens=1024, messages=turns)
    assert (len(uses), first.stop_reason, last.stop_reason) == (2, "tool_use", "end_turn")


async def test_a_structured_answer_is_parsed_by_the_sdk(claude: AsyncAnthropic) -> None:
    class Verdict(BaseModel):
        severity: Literal["high", "low"]
        reason: str

    parsed = await claude.messages.parse(**CALL, messages=HI, output_format=Verdict)
    assert parsed.parsed_output is not None
    assert parsed.parsed_output.severity == "high"


def test_models_fields_blocks_and_tools_are_those_of_the_sdk() -> None:
    known = {name for option in get_args(model.Model) for name in get_args(option)}
    assert models.MODELS.keys() == known
    assert {*MessageCreateParamsBase.__annotations__, "stream"} == api_request.FIELDS
    assert MessageCountTokensParams.__annotations__.keys() == api_request.COUNTED_FIELDS
    assert _tags(ContentBlockParam) == conversation.BLOCK_TYPES
    assert _tags(ToolUnionParam) - {"custom"} == tools.OWN_TYPES


def _tags(union: Any) -> set[str]:
    """Name the values that `type` may have in a union of the SDK's parameters."""
    return {tag for member in get_args(union) for tag in _literals(get_type_hints(member)["type"])}


def _literals(hint: Any) -> Iterator[str]:
    for item in get_args(hint):
        if isinstance(item, str):
            yield item
        else:
            yield from _literals(item)


def test_dates_of_retirement_are_those_of_the_sdk() -> None:
    told = {name: str(parse_date(day)) for name, day in DEPRECATED_MODELS.items()}
    assert {name: str(at.date()) for name, at in models.RETIREMENTS.items()} == told


def parse_date(text: str) -> date:
    return datetime.strptime(re.sub(r"(?<=\d)(st|nd|rd|th)", "", text), "%B %d, %Y").replace(tzinfo=UTC).date()
