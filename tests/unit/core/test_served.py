"""What tools on the API's side cost, and what a call with them may cost, read again in each round."""

from decimal import Decimal

import pytest

from eventroute.served import McpServer, Served, ServedKind, cost, costs_at_most, kinds, reads_at_most, serve, serve_mcp

SEARCH = serve("web_search", max_uses=3)
FETCH = serve("web_fetch", max_uses=2, tokens_per_use=500)
CODE = serve("code_execution")
TRACKER = serve_mcp(McpServer("tracker", "https://mcp.example.com/mcp"), ["find"])


@pytest.mark.parametrize(
    ("uses", "served", "usd"),
    [
        ({}, (), "0"),
        ({"web_search": 3}, (SEARCH,), "0.03"),
        ({"web_fetch": 5, "mcp": 2}, (FETCH, TRACKER), "0"),
        ({"web_search": 1, "code_execution": 4}, (SEARCH, CODE), "0.01"),
        ({"code_execution": 0}, (CODE,), "0"),
    ],
)
def test_uses_cost_what_is_known_of_them(uses: dict[ServedKind, int], served: tuple[Served, ...], usd: str) -> None:
    assert cost(uses, served) == Decimal(usd)


def test_what_is_billed_by_time_has_an_unknown_cost() -> None:
    assert cost({"code_execution": 1}, (CODE,)) is None
    assert cost({"code_execution": 1, "mcp": 1}, (CODE, TRACKER)) is None


@pytest.mark.parametrize(
    ("served", "within_s", "usd"),
    [
        ((), 600, "0"),
        ((SEARCH, FETCH, TRACKER), 60, "0.03"),
        ((CODE,), 360, "0.005"),
        ((CODE,), 1, "0.0041666666666666666667"),
        ((CODE, FETCH), 360, "0"),
    ],
)
def test_a_call_is_reserved_with_all_its_uses(served: tuple[Served, ...], within_s: float, usd: str) -> None:
    assert abs(costs_at_most(served, within_s=within_s) - Decimal(usd)) < Decimal("1e-15")


def _play(uses: list[int], rounds: int, *, prompt: int, output: int) -> int:
    """Play a call: the uses beyond the rounds in the first one, each round reading all that is there."""
    context, read = prompt, 0
    first = len(uses) - rounds + 1
    batches = [uses[:first], *([use] for use in uses[first:])]
    for batch in batches:
        read += context
        context += sum(batch)
    return read + context + rounds * output


@pytest.mark.parametrize("count", [1, 2, 5, 10, 11, 30])
def test_a_call_reads_its_prompt_in_each_round_and_what_was_brought_before(count: int) -> None:
    tool = serve("web_fetch", max_uses=count, tokens_per_use=700)
    expected = _play([700] * count, min(count, 10), prompt=1000, output=50)
    assert abs(reads_at_most((tool,), prompt=1000, output=50) - expected) <= 1


def test_without_such_tools_a_call_reads_its_prompt_once() -> None:
    assert reads_at_most((), prompt=1234, output=99) == 1234


def test_every_kind_is_in_the_table_and_only_servers_need_a_header() -> None:
    assert {kind: bool(known.beta) for kind, known in kinds().items()} == {
        "web_search": False,
        "web_fetch": False,
        "code_execution": False,
        "mcp": True,
    }
