"""Each model takes what the API's pages say of it, whatever a table of ours says."""

from itertools import product
from typing import Any

import msgspec
import pytest

from eventroute.models import Models
from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.models import EFFORTS, MODELS
from eventroute_cli.simulator.request import parse_request

TYPES = ("adaptive", "between_tools", "disabled", "enabled")
ALL, UP_TO_HIGH, NO_XHIGH = EFFORTS, ("low", "medium", "high"), ("low", "medium", "high", "max")

PAGES: dict[str, tuple[bool, dict[str, tuple[str, ...]], tuple[str, ...], bool, bool]] = {
    "claude-fable-5": (True, {"adaptive": ALL}, ALL, False, False),
    "claude-fable-5-1": (True, {"adaptive": ALL}, ALL, False, False),
    "claude-fable-5-2": (True, {"adaptive": ALL}, ALL, False, False),
    "claude-opus-5-5": (True, {"adaptive": ALL}, ALL, False, False),
    "claude-opus-5": (True, {"adaptive": ALL, "disabled": UP_TO_HIGH}, ALL, True, False),
    "claude-sonnet-5-5": (True, {"adaptive": ALL, "between_tools": UP_TO_HIGH}, ALL, False, False),
    "claude-sonnet-5": (True, {"adaptive": ALL, "disabled": UP_TO_HIGH}, ALL, True, False),
    "claude-haiku-5-5": (True, {"adaptive": ALL, "disabled": UP_TO_HIGH}, ALL, True, False),
    "claude-opus-4-8": (False, {"adaptive": ALL, "disabled": ALL}, ALL, True, False),
    "claude-opus-4-7": (False, {"adaptive": ALL, "disabled": ALL}, ALL, True, False),
    "claude-opus-4-6": (
        False,
        {"adaptive": NO_XHIGH, "disabled": NO_XHIGH, "enabled": NO_XHIGH},
        NO_XHIGH,
        True,
        False,
    ),
    "claude-sonnet-4-6": (
        False,
        {"adaptive": NO_XHIGH, "disabled": NO_XHIGH, "enabled": NO_XHIGH},
        NO_XHIGH,
        True,
        False,
    ),
    "claude-opus-4-5": (False, {"disabled": UP_TO_HIGH, "enabled": UP_TO_HIGH}, UP_TO_HIGH, True, True),
    "claude-haiku-4-5": (False, {"disabled": (), "enabled": ()}, (), True, True),
}
"""Whether it thinks unasked; the efforts that go with each type of thinking; those without one; whether a tool may be
forced when it does not think; whether it goes on with an assistant's last words. The pages' tables, October 2026."""

TOOL = {"name": "look_up", "input_schema": {"type": "object"}}


def is_taken(model: str, *, messages: list[dict[str, Any]] | None = None, **fields: Any) -> bool:
    said = {
        "model": model,
        "max_tokens": 4096,
        "messages": messages or [{"role": "user", "content": "hello"}],
        **{name: value for name, value in fields.items() if value is not None},
    }
    try:
        parse_request(msgspec.json.encode(said), version="2026-10-21", answers=MODELS.__contains__)
    except ApiError as refused:
        return refused.status != 400
    return True


@pytest.mark.parametrize("model", PAGES)
def test_types_of_thinking_go_with_the_efforts_of_the_pages(model: str) -> None:
    _, kinds, efforts, _, _ = PAGES[model]
    taken = {
        (kind, effort)
        for kind, effort in product((None, *TYPES), (None, *EFFORTS))
        if is_taken(
            model,
            thinking=kind and {"type": kind, **({"budget_tokens": 1024} if kind == "enabled" else {})},
            output_config=effort and {"effort": effort},
        )
    }
    told = {(kind, effort) for kind, allowed in kinds.items() for effort in (None, *allowed)}
    assert taken == told | {(None, effort) for effort in (None, *efforts)}


@pytest.mark.parametrize("model", PAGES)
def test_a_tool_is_forced_only_where_the_model_lets_it_and_does_not_think(model: str) -> None:
    thinks, kinds, _, may_be_forced, _ = PAGES[model]
    for choice in ({"type": "any"}, {"type": "tool", "name": "look_up"}):
        forced: dict[str, Any] = {"tools": [TOOL], "tool_choice": choice}
        assert is_taken(model, **forced) == (may_be_forced and not thinks)
        for off in {"disabled", "between_tools"} & kinds.keys():
            assert is_taken(model, **forced, thinking={"type": off}) == may_be_forced
        if "adaptive" in kinds:
            assert not is_taken(model, **forced, thinking={"type": "adaptive"})
    assert is_taken(model, tools=[TOOL], tool_choice={"type": "auto"})


@pytest.mark.parametrize("model", PAGES)
def test_only_the_oldest_models_go_on_with_the_words_of_the_assistant(model: str) -> None:
    begun = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "The answer is"}]
    assert is_taken(model, messages=begun) == PAGES[model][-1]


@pytest.mark.parametrize(
    ("model", "most"), [("claude-haiku-5-5", 128_000), ("claude-opus-4-6", 128_000), ("claude-haiku-4-5", 64_000)]
)
def test_an_answer_may_be_as_long_as_the_model_lets_it(model: str, most: int) -> None:
    assert is_taken(model, max_tokens=most)
    assert not is_taken(model, max_tokens=most + 1)


def test_the_table_of_the_worker_says_the_same() -> None:
    table = Models.load()
    for name, model in MODELS.items():
        if (known := table.find(name)) is None:
            assert name == "claude-mythos-preview"
            continue
        assert (known.context, known.max_output, known.thinks) == (model.context, model.max_output, model.thinks), name
        assert (set(known.thinking), known.efforts) == (set(model.thinking), model.efforts), name
        without = known.efforts if known.efforts_without_thinking is None else known.efforts_without_thinking
        assert set(without or ()) == set(model.efforts_without_thinking) & set(model.efforts), name
        if known.cacheable_from is not None:
            assert known.cacheable_from == model.cacheable_from, name


def test_the_table_of_the_worker_has_the_same_pools() -> None:
    table = Models.load()
    names = [name for name in MODELS if table.find(name)]
    for one, other in product(names, names):
        assert (table.pool(one) == table.pool(other)) == (MODELS[one].pool == MODELS[other].pool), (one, other)
