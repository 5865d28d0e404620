"""A field that the event lacks renders empty and is reported; one that is only asked about is not."""

from typing import Any

import pytest

from eventroute.template import MAX_MISSING_FIELDS
from support.templates import render

PAYLOAD: dict[str, Any] = {"a": {"b": 1}, "list": [{"n": 7}, {}], "nothing": None, "blank_text": ""}


@pytest.mark.parametrize(
    ("source", "text", "missing"),
    [
        ("[{{ payload.nope }}]", "[]", ("payload.nope",)),
        ("[{{ payload.a.b.c }}]", "[]", ("payload.a.b.c",)),
        ("[{{ payload.list[7].n }}]", "[]", ("payload.list[7].n",)),
        ("[{{ payload['no such'] }}]", "[]", ("payload.no such",)),
        ("[{{ headers.nope }}]", "[]", ("headers.nope",)),
        ("{% for item in payload.list %}[{{ item.n }}]{% endfor %}", "[7][]", ("item.n",)),
        ("[{{ payload.nope | upcase | truncate: 3 }}]", "[]", ("payload.nope",)),
        ("[{{ payload.nope | json }}]", "[]", ("payload.nope",)),
        ("[{{ payload.nope | join: ',' }}]", "[]", ("payload.nope",)),
        ("[{{ 'x' | append: payload.nope }}]", "[x]", ("payload.nope",)),
        ("{{ payload.x }}{{ payload.y }}{{ payload.x }}", "", ("payload.x", "payload.y")),
        ("{% if payload.nope %}yes{% else %}no{% endif %}", "no", ()),
        ("{% unless payload.nope == 'x' %}no{% endunless %}", "no", ()),
        ("{{ payload.nope | default: 'none' }}", "none", ()),
        ("{% for x in payload.nope %}x{% else %}none{% endfor %}", "none", ()),
        ("[{{ payload.nothing }}{{ payload.blank_text }}{{ entity }}]", "[]", ()),
        ("{{ payload.a.b }}", "1", ()),
    ],
)
def test_missing_fields(source: str, text: str, missing: tuple[str, ...]) -> None:
    rendered = render(source, PAYLOAD)
    assert (rendered.text, rendered.missing) == (text, missing)


def test_the_report_is_bounded() -> None:
    rendered = render("{% for i in (1..500) %}{{ payload[i] }}{% endfor %}", {})
    assert len(rendered.missing) == MAX_MISSING_FIELDS


@pytest.mark.parametrize("payload", [None, [], "text", 5, True])
def test_a_payload_need_not_be_an_object(payload: Any) -> None:
    assert render("[{{ payload.a.b }}]", payload).text == "[]"
