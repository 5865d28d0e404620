"""What a manifest may ask of a model: refused exactly where the API refuses it, and told before it hurts."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from eventroute.compile import Problem, Severity, compile_routes
from eventroute.ids import RoutePath
from eventroute.models import Models
from eventroute.route_table import ModelCall
from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.models import MODELS
from eventroute_cli.simulator.request import parse_request
from support.routes import SECRETS, compiled, event_route

_KNOWN = [name for name in MODELS if Models.load().find(name)]
_LEVELS = ("low", "medium", "high", "xhigh", "max")
_OFF = ("disabled", "between_tools")


def _problems(**spec: Any) -> tuple[Problem, ...]:
    return compiled(**spec).verdicts[0].problems


def _takes(model: str, thinking: str | None, effort: str | None) -> bool:
    """Ask the simulator, which is as strict as the API."""
    fields: dict[str, Any] = {"model": model, "max_tokens": 1024, "messages": [{"role": "user", "content": "?"}]}
    if thinking:
        fields["thinking"] = {"type": thinking}
    if effort:
        fields["output_config"] = {"effort": effort}
    try:
        parse_request(msgspec.json.encode(fields), version="2026-10-21", answers=MODELS.__contains__)
    except ApiError:
        return False
    return True


@pytest.mark.parametrize("effort", [None, *_LEVELS])
@pytest.mark.parametrize("thinking", [None, "auto", "off"])
def test_what_the_api_takes_is_sent_and_what_it_refuses_is_refused(thinking: str | None, effort: str | None) -> None:
    said = {name: value for name, value in (("thinking", thinking), ("effort", effort)) if value}
    for model in _KNOWN:
        ways = _OFF if thinking == "off" else (None,)
        can = any(_takes(model, way, effort) for way in ways)
        routes = compiled(model={"name": model, **said})
        assert bool(routes.worker) is can, (model, said)
        for route in routes.worker.values():
            call = route.prompts[0].model
            assert _takes(model, call.thinking, call.effort), call
            assert effort in (None, call.effort)
            assert (call.thinking in _OFF) or thinking != "off"
        for problem in routes.verdicts[0].problems:
            assert can or problem.reason == "ModelRefuses"
            assert model in problem.message


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "claude-haiku-4-5", "effort": "low"}, "model: claude-haiku-4-5 takes no effort"),
        (
            {"name": "claude-opus-4-6", "effort": "xhigh"},
            "model: claude-opus-4-6 takes effort low, medium, high or max, not xhigh",
        ),
        (
            {"thinking": "off", "effort": "max"},
            "model: claude-haiku-5-5 always thinks at effort max; thinking is off at low, medium or high",
        ),
        (
            {"name": "claude-opus-5-5", "thinking": "off"},
            'model: claude-opus-5-5 always thinks: say thinking "auto", and leave room for it in maxTokens',
        ),
    ],
)
def test_a_refusal_names_the_model_and_what_it_takes(model: dict[str, str], message: str) -> None:
    (problem,) = [each for each in _problems(model=model) if each.severity is Severity.ERROR]
    assert problem.message == f"route team-a/triage: {message}"
    assert (problem.reason, problem.field) == ("ModelRefuses", "spec.model")


def test_an_answer_longer_than_the_model_writes_is_refused() -> None:
    own = Models.load()
    model = own.find("claude-haiku-4-5")
    assert model
    short = Models({"short": msgspec.structs.replace(model, max_output=2000)})
    for tokens, served in ((2000, True), (2001, False)):
        route = event_route(model={"name": "short", "maxTokens": tokens})
        result = compile_routes([route], secrets=SECRETS, config_maps={}, models=short)
        assert bool(result.worker) is served


def test_a_prompt_that_names_another_model_is_judged_by_that_one() -> None:
    prompts = [{"model": {"name": "claude-haiku-4-5"}, "events": ["a"]}, {}, {}]
    (problem,) = [each for each in _problems(model={"effort": "high"}, prompts=prompts) if each.severity == "error"]
    assert (problem.field, problem.condition) == ("spec.prompts[0].model", "PromptsValid")


def test_a_prompt_changes_single_settings_of_the_routes_model() -> None:
    model = {"name": "claude-sonnet-5-5", "thinking": "auto", "effort": "high", "maxTokens": 9000, "timeout": "9s"}
    prompts = [
        {"events": ["a"], "model": {"thinking": "off"}},
        {"events": ["b"], "model": {"effort": "max", "maxTokens": 8000, "cache": "1h"}},
        {"model": {"name": "mine", "timeout": "8s"}},
    ]
    route = compiled(model=model, prompts=prompts).worker[RoutePath("team-a/triage")]
    sonnet = "claude-sonnet-5-5"
    assert [msgspec.structs.replace(prompt.model, cacheable_from=0) for prompt in route.prompts] == [
        ModelCall(name=sonnet, max_tokens=9000, timeout_s=9, thinking="between_tools", effort="high", cache="auto"),
        ModelCall(name=sonnet, max_tokens=8000, timeout_s=9, thinking="adaptive", effort="max", cache="1h"),
        ModelCall(name="mine", max_tokens=9000, timeout_s=8, effort="high", cache="auto"),
    ]
    assert [prompt.model.cacheable_from for prompt in route.prompts] == [512, 512, 4096]


@pytest.mark.parametrize(
    ("model", "fallback"),
    [
        ({"effort": "high", "thinking": "off"}, ("disabled", "high")),
        ({"name": "claude-haiku-5-5", "fallback": "claude-opus-5-5", "thinking": "off"}, ("adaptive", "low")),
        ({"fallback": "claude-haiku-4-5", "effort": "max", "thinking": "auto"}, (None, None)),
        ({"fallback": "claude-opus-4-6", "effort": "xhigh"}, ("disabled", "low")),
        ({"fallback": "mine", "effort": "xhigh"}, (None, "xhigh")),
        ({"fallback": "mine"}, (None, None)),
    ],
)
def test_another_model_is_asked_as_nearly_the_same_as_it_takes(
    model: dict[str, Any], fallback: tuple[str | None, str | None]
) -> None:
    model = {"name": "claude-sonnet-5-5", "fallback": "claude-haiku-5-5", "timeout": "7s", **model}
    call = compiled(model=model).worker[RoutePath("team-a/triage")].prompts[0].model.fallback
    assert call
    assert (call.thinking, call.effort) == fallback
    assert (call.name, call.max_tokens, call.timeout_s, call.fallback) == (model["fallback"], 1024, 7, None)
    assert _takes(call.name, call.thinking, call.effort) or call.name == "mine"


def test_a_model_cannot_stand_in_for_itself_and_a_prompt_that_names_the_other_one_needs_none() -> None:
    (problem,) = _problems(model={"fallback": "claude-haiku-5-5"})
    assert (problem.reason, problem.severity) == ("ModelRefuses", "error")
    prompts = [{"events": ["a"], "model": {"name": "claude-sonnet-5-5"}}, {}]
    route = compiled(model={"fallback": "claude-sonnet-5-5"}, prompts=prompts).worker[RoutePath("team-a/triage")]
    assert [bool(prompt.model.fallback) for prompt in route.prompts] == [False, True]
    (problem,) = _problems(prompts=[{"model": {"name": "claude-sonnet-5-5", "fallback": "claude-sonnet-5-5"}}])
    assert problem.field == "spec.prompts[0].model"


def test_what_is_doubtful_of_the_other_model_is_told_too() -> None:
    reasons = {each.reason for each in _problems(model={"fallback": "claude-opus-5-5"})}
    assert reasons == {"ThinkingUnbounded"}
    route = event_route(model={"fallback": "claude-sonnet-4-5"})
    result = compile_routes([route], secrets=SECRETS, config_maps={}, today=dt.date(2026, 12, 1))
    assert [problem.reason for problem in result.verdicts[0].problems] == ["ModelRetired"]


def test_a_mistake_of_the_routes_model_is_told_once() -> None:
    prompts = [{"events": ["a"]}, {"events": ["b"]}, {}]
    assert len(_problems(model={"name": "claude-haiku-4-5", "effort": "low"}, prompts=prompts)) == 1


def test_an_unknown_model_is_sent_nothing_but_the_effort_that_was_asked_for_and_warned_of() -> None:
    (problem,) = _problems(model={"name": "claude-haiku-55"})
    assert (problem.severity, problem.reason) == ("warning", "ModelUnknown")
    assert 'did you mean "claude-haiku-5-5"?' in problem.message
    (problem,) = _problems(model={"name": "mine", "thinking": "off", "effort": "max"})
    assert "thinking is not turned off" in problem.message


@pytest.mark.parametrize(
    ("model", "warned"),
    [
        ({}, False),
        ({"maxTokens": 1}, False),
        ({"thinking": "auto"}, True),
        ({"thinking": "auto", "maxTokens": 4095}, True),
        ({"thinking": "auto", "maxTokens": 4096}, False),
        ({"effort": "max"}, True),
        ({"name": "claude-opus-5-5"}, True),
        ({"name": "claude-sonnet-5-5"}, False),
        ({"name": "claude-haiku-4-5", "thinking": "auto"}, False),
        ({"name": "claude-opus-4-8", "thinking": "auto"}, True),
    ],
)
def test_thinking_that_may_use_up_all_of_max_tokens_is_warned_of(model: dict[str, Any], *, warned: bool) -> None:
    problems = _problems(model=model)
    assert [(each.severity, each.reason) for each in problems] == [("warning", "ThinkingUnbounded")] * warned


@pytest.mark.parametrize(
    ("today", "told"),
    [
        (None, []),
        (dt.date(2026, 11, 29), [("warning", "ModelRetires")]),
        (dt.date(2026, 11, 30), [("error", "ModelRetired")]),
        (dt.date(2027, 1, 1), [("error", "ModelRetired")]),
    ],
)
def test_a_models_end_is_a_warning_before_it_and_an_error_from_then_on(
    today: dt.date | None, told: list[tuple[str, str]]
) -> None:
    route = event_route(model={"name": "claude-sonnet-4-5-20250929"})
    result = compile_routes([route], secrets=SECRETS, config_maps={}, today=today)
    assert [(problem.severity, problem.reason) for problem in result.verdicts[0].problems] == told
    assert all("2026-11-30" in problem.message for problem in result.verdicts[0].problems)


def test_a_retired_model_that_another_stands_in_for_is_a_warning() -> None:
    route = event_route(model={"name": "claude-sonnet-4-5", "fallback": "claude-haiku-5-5"})
    result = compile_routes([route], secrets=SECRETS, config_maps={}, today=dt.date(2026, 12, 1))
    assert [(each.severity, each.reason) for each in result.verdicts[0].problems] == [("warning", "ModelRetired")]
    assert result.worker
