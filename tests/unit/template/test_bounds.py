"""What a rendering takes is bounded before it is taken, by the length of what it would touch, and by a clock."""

import tracemalloc
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from eventroute.template import MAX_VALUE_LENGTH, RenderFailed, compile_template
from support.growth import is_linear
from support.templates import FENCE, render

MANY = list(range(400_000))
TEXT = "x" * 1_000_000
MEBIBYTE = 2**20


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("{% if (1..900000000000) contains 'x' %}{% endif %}", {}),
        ("{% for i in (1..900000000000) limit:1 offset:899999999995 %}{% endfor %}", {}),
        ("{% for i in (1..99999999999999999999999) limit:1 %}{% endfor %}", {}),
        ("{{ (1..2000000) | slice: 0, 2000000 | size }}", {}),
        ("{% assign r = (1..payload) %}{% if r contains 'x' %}{% endif %}", 10**9),
        ("{% for i in (1..40) %}{% if payload contains 'x' %}{% endif %}{% endfor %}", MANY),
        ("{% for i in (1..40) %}{% for j in payload limit:1 offset:399990 %}{% endfor %}{% endfor %}", MANY),
        ("{% for i in (1..40) %}{{ payload | slice: 0, 400000 | size }}{% endfor %}", MANY),
        ("{% for i in (1..1000) %}{% if payload contains 'y' %}{% endif %}{% endfor %}", TEXT),
        ("{% for i in (1..1000) %}{{ payload | json | size }}{% endfor %}", [TEXT]),
        ("{% for i in (1..1000) %}{% capture x %}{{ payload }}{% endcapture %}{% endfor %}", [TEXT]),
        ("{% for i in (1..40000) %}" + "{% if 1 == 2 %}{% else %}{% endif %}" * 20 + "{% endfor %}", {}),
        ("{{ payload | concat: payload | size }}", [[0] * 900_000]),
        ("{{ payload | sort | size }}", [[1] * 900_000]),
        ("{% assign l = payload %}" + "{% assign l = l | concat: l %}" * 9 + "{{ l | json }}", [{"k": TEXT}]),
        ("{% for i in (1..1000) %}{% assign y = payload | reverse %}{% endfor %}", [TEXT]),
        ("{{ payload | append: 'x' | size }}", [{"k": MANY}]),
        ("{{ 'x' | append: payload | size }}", [{"k": MANY}]),
    ],
)
def test_what_would_take_long_or_much_is_not_begun(source: str, payload: Any) -> None:
    template = compile_template(source)
    tracemalloc.start()
    try:
        with pytest.raises(RenderFailed, match=r"does too much|takes at most"):
            template.render({"payload": payload}, FENCE, clock=lambda: 0)
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_a_rendering_that_goes_on_for_too_long_ends_at_its_next_step() -> None:
    seconds: Iterator[float] = (step / 100 for step in count())
    with pytest.raises(RenderFailed, match=r"takes more than 0\.25 s"):
        compile_template("{% for i in (1..1000) %}{{ i }}{% endfor %}").render(
            {"payload": {}}, FENCE, clock=seconds.__next__
        )


def test_the_text_of_a_list_is_written_no_further_than_it_is_shown() -> None:
    tracemalloc.start()
    try:
        text = render("{{ payload | join: ',' }}", [{"k": MANY}] * 3).text
        assert tracemalloc.get_traced_memory()[1] < MEBIBYTE
    finally:
        tracemalloc.stop()
    assert text.startswith(FENCE.opening + '{"k":[0,1,2,')
    assert len(text) < MAX_VALUE_LENGTH + 200


def test_json_of_a_part_begins_as_that_of_the_whole() -> None:
    whole = render("{{ payload | json }}", {"a": ["é", {"b": 1.5}, None], "c": "x" * (MAX_VALUE_LENGTH // 2)}).text
    long = render("{{ payload | json }}", {"a": ["é", {"b": 1.5}, None], "c": "x" * MAX_VALUE_LENGTH, "d": TEXT}).text
    same = MAX_VALUE_LENGTH // 2
    assert long[:same] == whole[:same]
    assert long.endswith("[… more characters were cut]\n" + FENCE.closing)


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("<p class='a'>one <b>two</b></p>", "one two"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a<br/>b<!-- <i> --- -->c", "abc"),
        ("a<script src='x'>if (1<2) {}</SCRIPT >b<STYLE>p > a {}</style>c", "abc"),
        ("a<scripted>b", "ab"),
        ("a <b", "a <b"),
        ("a<!-- never closed > b", "a"),
        ("a<script>never </scrip> closed", "a"),
        ("&lt;b&gt; &amp; &#60;", "&lt;b&gt; &amp; &#60;"),
        ("", ""),
        (None, ""),
        (5, "5"),
    ],
)
def test_strip_html_gives(text: Any, stripped: str) -> None:
    assert render("{{ payload | strip_html }}", text).text in {stripped, FENCE.value(stripped)}


PIECES = [
    *("<a ", ">", "<", "</", "<!--", "-->", "<script", "<script>", "</script", "<style>", "&", "&#", "<a href='", "<?"),
    *("a", "a ", " ", "\n", "\r\n", ",", "1", "1e9", "{", "ß", "\u0130", "\U0001f600", "aab", "a-", "%Y", "[", '"'),
]
TEXT_FILTERS = [
    *("append: payload", "capitalize", "downcase", "lstrip", "prepend: payload", "remove: 'aaaaaaab'", "remove: 'a'"),
    *("remove_first: 'aaaaaaab'", "replace_first: 'aaaaaaab', 'x'", "replace: 'aaaaaaab', 'x'", "replace: 'a', 'bb'"),
    *("rstrip", "slice: 1, 9999", "split: ''", "split: ' '", "split: 'a'", "split: ','", "squish", "strip"),
    *("strip_html", "strip_newlines", "truncate: 50", "truncatewords: 9999", "upcase", "join: payload", "date", "json"),
    *(
        "date: payload",
        "default: payload",
        "size",
        "first",
        "last",
        "plus: payload",
        "times: payload",
        "round: payload",
    ),
    *("abs", "at_least: payload", "divided_by: payload", "modulo: payload", "floor", "ceil", "minus: payload"),
    *("at_most: payload", "split: ',' | sort | join", "split: payload", "compact", "sum", "reverse", "sort", "concat"),
]
LIST_FILTERS = [
    *("compact", "compact: 'k'", "concat: payload", "first", "last", "map: 'k'", "reject: 'k', 1", "reverse", "size"),
    *("sort", "sort: 'k'", "sum", "sum: 'k'", "where: 'k', 1", "where: 'k'", "join: ','", "json", "slice: 0, 900"),
]
ITEMS: list[Any] = [1, "a" * 50, "1", [1, [2, [3]]], {"k": 1}, {"k": "a" * 50}, {"k": [1, {"k": 2}]}, 1.5, None]


def run_over(source: str, payload: Any) -> None:
    """Render what may fail, too."""
    try:
        compile_template(source).render({"payload": payload}, FENCE)
    except RenderFailed:
        return


@pytest.mark.parametrize("filter_", TEXT_FILTERS)
def test_a_filter_of_texts_takes_time_in_proportion(filter_: str) -> None:
    source = "{{ payload | " + filter_ + " }}"
    for piece in PIECES:
        texts = {n: ("> " + piece * n)[:n] for n in (9_000, 18_000)}  # below where values are cut
        assert is_linear(lambda n, texts=texts: run_over(source, texts[n]), length=9_000), piece  # type: ignore[misc]


@pytest.mark.parametrize("filter_", LIST_FILTERS)
def test_a_filter_of_lists_takes_time_in_proportion(filter_: str) -> None:
    source = "{{ payload | " + filter_ + " }}"
    for item in ITEMS:
        lists = {n: [item] * n for n in (240, 480)}  # below where lists are refused
        assert is_linear(lambda n, lists=lists: run_over(source, lists[n]), length=240), item  # type: ignore[misc]


@pytest.mark.parametrize(
    "source",
    [
        "{{ payload }}",
        "{{ payload | json }}",
        "{{ payload.size }}{{ payload.first }}",
        "{% if payload contains 'zz' %}{% endif %}",
        "{% if payload == payload %}{% endif %}",
        "{% for i in payload limit:1 %}{{ i }}{% endfor %}",
        "{% for i in payload limit:9 reversed %}{{ i }}{% endfor %}",
        "{% case payload %}{% when 'a' %}{% when payload %}{% endcase %}",
        "{% capture x %}{{ payload }}{% endcapture %}{{ x }}{% assign y = x %}{{ y }}",
    ],
)
@pytest.mark.parametrize("item", ["a", 1, {"k": "v"}, [[["a"]]]], ids=str)
def test_a_look_up_of_something_large_takes_time_in_proportion(source: str, item: Any) -> None:
    values = {n: [item] * n for n in (100_000, 200_000)}
    assert is_linear(lambda n: run_over(source, values[n]), length=100_000)
    texts = {n: "a <" * n for n in (100_000, 200_000)}
    assert is_linear(lambda n: run_over(source, texts[n]), length=100_000)


def test_each_name_that_is_set_costs_as_much_as_the_one_before() -> None:
    templates = {n: compile_template("".join(f"{{% assign a{i} = 1 %}}" for i in range(n))) for n in (700, 1_400)}
    assert is_linear(lambda n: templates[n].render({}, FENCE), length=700)


def test_every_listed_filter_has_its_growth_looked_at() -> None:
    for name in compile_template("")._bound.env.filters:
        assert any(name == part.split(":")[0] for each in (*TEXT_FILTERS, *LIST_FILTERS) for part in each.split(" | "))
