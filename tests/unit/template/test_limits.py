"""No template and no payload may hold up a worker: every rendering ends soon, in a text or a failure."""

from typing import Any

import pytest

from eventroute.template import MAX_OUTPUT_BYTES, MAX_VALUE_LENGTH, RenderFailed, compile_template
from support.templates import FENCE, render

BIG = "x" * 3_000_000


@pytest.mark.parametrize(
    ("source", "payload", "message"),
    [
        ("{% for i in (1..1000000000) %}x{% endfor %}", {}, "does too much"),
        ("{% for i in payload %}{% for j in payload %}x{% endfor %}{% endfor %}", [0] * 1000, "does too much"),
        ("{% for i in payload %}{% endfor %}" * 300, [0] * 1000, "does too much"),
        ("{{ (1..2000) | join }}", {}, "at most 1000 items"),
        ("{{ payload | sort | size }}", [0] * 2000, "at most 1000 items"),
        ("{% for i in (1..200) %}{% assign y = payload | sort %}{% endfor %}", [0] * 1000, "does too much"),
        ("{{ payload | map: 'a' | join: ',' }}", [{}] * 1001, "at most 1000 items"),
        ("{{ 'ab' | replace: '', payload }}", "x" * 20_000, "too long"),
        (
            "{% assign n = 99 %}{% for i in (1..60) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
            {},
            "is too large",
        ),
        ("{{ payload | plus: 1 }}", 10**30, "is too large"),
        ("{{ 1 | divided_by: payload }}", 0, "divide by 0"),
        ("{{ payload | upcase }}", {"an": "object"}, "takes no object"),
        (
            "{% for i in (1..200) %}{% for j in (1..200) %}{% assign y = payload | upcase %}{% endfor %}{% endfor %}",
            "x" * 20_000,
            "does too much",
        ),
    ],
)
def test_what_costs_too_much_fails_by_its_cost_not_by_the_clock(source: str, payload: Any, message: str) -> None:
    with pytest.raises(RenderFailed, match=message):
        render(source, payload)


def test_a_long_value_is_cut_with_a_mark() -> None:
    text = render("{{ payload }}", BIG).text
    assert len(text) < MAX_VALUE_LENGTH + 200
    assert "[… 2980000 more characters were cut]" in text


def test_a_value_cannot_be_doubled_again_and_again() -> None:
    source = "{% assign x = payload %}{% for i in (1..50) %}{% assign x = x | append: x %}{% endfor %}{{ x | size }}"
    assert int(render(source, BIG).text) < MAX_VALUE_LENGTH + 100


def test_a_joined_list_is_cut() -> None:
    assert len(render("{{ payload | join: payload[0] }}", ["x" * 20_000] * 1000).text) < MAX_VALUE_LENGTH + 200


def test_a_long_text_is_cut_with_a_mark_and_no_fence_is_left_open() -> None:
    rendered = render("{% for i in (1..300) %}{{ payload }}\n{% endfor %}", "a sentence " * 200)
    assert len(rendered.text.encode()) < MAX_OUTPUT_BYTES + 200
    assert rendered.text.endswith(f"[… the rest was cut: the text reached {MAX_OUTPUT_BYTES} bytes]")
    assert rendered.text.count("<data-") == rendered.text.count("</data-")


def test_a_huge_payload_as_json_is_cut_inside_its_fence() -> None:
    rendered = render("{{ payload | json }}", {"items": ["x" * 100] * 20_000})
    assert len(rendered.text) < MAX_VALUE_LENGTH + 200
    assert rendered.text.endswith("more characters were cut]\n" + rendered.closing)


def test_assigned_texts_share_one_limit() -> None:
    source = "".join(f"{{% capture c{n} %}}{'{{ payload }}' * 12}{{% endcapture %}}" for n in range(10))
    with pytest.raises(RenderFailed, match="local namespace limit"):
        render(source, BIG)


def test_a_shortened_block_is_closed() -> None:
    source = "{% capture block %}{{ payload | json }}{% endcapture %}{{ block | truncate: 40 }} and more"
    rendered = render(source, {"a": "b" * 100})
    assert rendered.text.count(rendered.opening) == rendered.text.count(rendered.closing)


def test_the_work_that_a_template_may_do_is_where_it_is_said_to_be() -> None:
    loop, more = "{% for i in (1..33333) %}{% endfor %}", "{{ event }}"  # a turn costs three of 100,000, a look-up one
    assert _without_a_clock(loop + more) == "push"
    with pytest.raises(RenderFailed, match="does too much"):
        _without_a_clock(loop + more * 2)


def _without_a_clock(source: str) -> str:
    return compile_template(source).render({"event": "push"}, FENCE, clock=float)[0]
