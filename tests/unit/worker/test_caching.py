"""When a prompt's system text is marked to be cached: once it pays, and by what was measured."""

from typing import Any

import pytest

from eventroute.prompt import Prompt
from eventroute_worker.answer import Usage
from eventroute_worker.caching import Caching
from support.routes import model_call

LONG = "Judge this with care. " * 100
"""2,200 characters: more than the 512 tokens that the default model caches from."""
WRITTEN, READ, PLAIN = (Usage(input=1, output=1, **kind) for kind in ({"cache_write": 9}, {"cache_read": 9}, {}))


class Traffic:
    """Calls of prompts, with a clock of their own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.caching = Caching(lambda: self.now)

    def ask(self, usage: Usage | None = PLAIN, *, after_s: float = 1, system: str = LONG, **model: Any) -> str | None:
        """Make a call that uses this much, some seconds after the last one; returns for how long it is to cache."""
        self.now += after_s
        with self.caching.deciding(model_call(**model), Prompt(system, "?", ()), "key") as mark:
            mark.usage = usage
        return mark.lifetime


def test_what_is_asked_once_in_a_while_is_never_cached() -> None:
    traffic = Traffic()
    assert [traffic.ask(after_s=300) for _ in range(5)] == [None] * 5


def test_what_is_asked_again_soon_is_written_and_then_read_for_as_long_as_it_is_asked() -> None:
    traffic = Traffic()
    assert traffic.ask() is None
    assert traffic.ask(WRITTEN, after_s=299) == "5m"
    assert [traffic.ask(READ, after_s=299) for _ in range(5)] == ["5m"] * 5
    assert traffic.ask(after_s=300) is None
    assert traffic.ask(WRITTEN) == "5m"


def test_one_call_writes_while_others_are_under_way() -> None:
    traffic, call, prompt = Traffic(), model_call(), Prompt(LONG, "?", ())
    traffic.ask()
    with traffic.caching.deciding(call, prompt, "key") as first:
        assert first.lifetime == "5m"
        assert [traffic.ask() for _ in range(3)] == [None] * 3
        first.usage = WRITTEN
    assert traffic.ask(READ) == "5m"


def test_a_write_that_failed_is_tried_by_the_next_call() -> None:
    traffic = Traffic()
    traffic.ask()
    assert traffic.ask(None) == "5m"
    assert traffic.ask(WRITTEN) == "5m"
    with pytest.raises(KeyError), traffic.caching.deciding(model_call(effort="high"), Prompt(LONG, "?", ()), "key"):
        raise KeyError
    with pytest.raises(KeyError), traffic.caching.deciding(model_call(effort="high"), Prompt(LONG, "?", ()), "key"):
        raise KeyError
    assert traffic.ask(WRITTEN, effort="high") == "5m"


def test_a_read_that_was_expected_and_did_not_come_begins_anew() -> None:
    traffic = Traffic()
    traffic.ask()
    traffic.ask(WRITTEN)
    assert traffic.ask(WRITTEN) == "5m"
    assert traffic.ask() is None
    assert traffic.ask(WRITTEN) == "5m"


@pytest.mark.parametrize(
    "other", [{"name": "claude-sonnet-5-5"}, {"effort": "high"}, {"thinking": "auto"}, {"system": LONG + "!"}]
)
def test_whatever_the_cached_part_depends_on_has_traffic_of_its_own(other: dict[str, Any]) -> None:
    traffic = Traffic()
    traffic.ask()
    assert traffic.ask(**other) is None
    assert traffic.ask(WRITTEN) == "5m"
    assert traffic.ask(WRITTEN, **other) == "5m"


def test_each_key_has_traffic_of_its_own() -> None:
    traffic = Traffic()
    traffic.ask()
    with traffic.caching.deciding(model_call(), Prompt(LONG, "?", ()), "another") as mark:
        assert mark.lifetime is None


@pytest.mark.parametrize(
    ("model", "characters", "marked"),
    [
        ({"cache": "1h"}, 2048, "1h"),
        ({"cache": "5m"}, 2048, "5m"),
        ({"cache": "5m"}, 2047, None),
        ({"cache": "off"}, 30_000, None),
        ({"cache": "5m", "name": "claude-haiku-4-5"}, 16_383, None),
        ({"cache": "5m", "name": "claude-haiku-4-5"}, 16_384, "5m"),
        ({"cache": "1h", "name": "mine"}, 16_383, None),
        ({"cache": "1h", "name": "mine"}, 16_384, "1h"),
    ],
)
def test_a_manifest_may_say_it_and_what_is_too_short_for_the_model_is_never_marked(
    model: dict[str, Any], characters: int, marked: str | None
) -> None:
    traffic = Traffic()
    assert [traffic.ask(PLAIN, system="x" * characters, **model) for _ in range(3)] == [marked] * 3


def test_only_so_many_prompts_are_remembered() -> None:
    traffic = Traffic()
    for number in range(1001):
        traffic.ask(system=f"{LONG} {number}", after_s=0)
    assert traffic.ask(system=f"{LONG} 0", after_s=0) is None
    assert traffic.ask(system=f"{LONG} 1000", after_s=0) == "5m"
