"""The filters that differ from Liquid's own."""

from typing import Any

import pytest

from support.templates import FENCE, render


@pytest.mark.parametrize(
    ("source", "payload", "text"),
    [
        ("{{ payload | date: '%d.%m.%Y' }}", 1_700_000_000, "14.11.2023"),
        ("{{ payload | date: '%H:%M' }}", 1_700_000_000_000, "22:13"),
        ("{{ payload | date: '%Y' }}", "2026-03-01T12:00:00Z", "2026"),
        ("{{ payload | date: '%H' }}", "2026-03-01T12:00:00+02:00", "10"),
        ("{{ payload | date: '%Y' }}", "nodate", "nodate"),
        ("{{ payload | date: '%Y' }}", None, ""),
        ("{{ payload | date: '%Y' }}", True, "true"),
        ("{{ payload | date: '%Y' }}", 10**18, str(10**18)),
        ("{{ 'now' | date: '%Y' }}", None, "now"),
        ("{{ payload | join: '-' }}", [1, 2, None, 3], "1-2--3"),
        ("{{ payload | join }}", "a", "a"),
        ("{{ payload | replace: 'a', 'b' }}", "banana", "bbnbnb"),
        ("{{ payload | size }}", [0] * 5000, "5000"),
        ("{{ payload | slice: 0, 3 | join: '' }}", [1] * 5000, "111"),
        ("{{ payload | map: 'n' | join: '+' }}", [{"n": 1}, {"n": 2}], "1+2"),
        ("{{ payload | where: 'n', 2 | map: 's' | first }}", [{"n": 1}, {"n": 2, "s": "x"}], "x"),
    ],
)
def test_a_filter_gives(source: str, payload: Any, text: str) -> None:
    assert render(source, payload).text == text


def test_json_is_compact_and_fenced() -> None:
    text = render("{{ payload | json }}", {"a": [1, None, "é", "<b>"]}).text
    assert text == FENCE.block('{"a":[1,null,"é","<b>"]}')
