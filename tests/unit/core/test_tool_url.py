"""Arguments stand in their place of a tool's URL, whatever they hold."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventroute.tool_url import ToolUrl, ToolUrlRefused

NAMES = frozenset({"id", "q"})
URL = ToolUrl("https://api.example.com:8443/v1/refunds/{{ id }}/lines?kind=all&q={{q}}&end=1", NAMES)

HOSTILE = ("../", "..", ".", "", "?", "#", "@", "//", "\\", "%2e%2e%2f", "..;/", "\r\n", "\x00", "é", "&", "=", " ")
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(HOSTILE), max_size=6).map("".join))


@given(id=TEXTS, q=TEXTS)
@example(id="..", q="")
@example(id="%2e%2e", q="&q=2")
@example(id="@evil.example", q="#")
def test_an_argument_stays_in_its_place_or_is_refused(id: str, q: str) -> None:  # noqa: A002
    try:
        found = URL.fill({"id": id, "q": q})
    except ToolUrlRefused:
        return
    parts = urlsplit(found)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example.com:8443", "")
    before, segment, after = (
        parts.path.rpartition("/lines")[0].rpartition("/")[0],
        parts.path.split("/")[3],
        parts.path[-6:],
    )
    assert (before, after, parts.path.count("/")) == ("/v1/refunds", "/lines", 4)
    assert unquote(segment) == id
    assert not {"/", "\\"} & set(unquote(segment))
    assert unquote(segment) not in {"", ".", ".."}
    assert parse_qs(parts.query, keep_blank_values=True, strict_parsing=True) == {
        "kind": ["all"],
        "q": [q],
        "end": ["1"],
    }
    assert found.isascii()
    assert found.isprintable()


def test_ordinary_arguments_are_taken() -> None:
    """Otherwise the test above would pass with a URL that refuses everything."""
    assert URL.fill({"id": "re_1 é", "q": "a/b&c"}) == (
        "https://api.example.com:8443/v1/refunds/re_1%20%C3%A9/lines?kind=all&q=a%2Fb%26c&end=1"
    )
    assert URL.fill({"id": 7, "q": True}).endswith("/7/lines?kind=all&q=true&end=1")


def test_two_arguments_make_no_step_upwards_together() -> None:
    url = ToolUrl("https://api.example.com/a/{{ id }}{{ q }}/b", NAMES)
    assert url.fill({"id": "x", "q": ""}).endswith("/a/x/b")
    with pytest.raises(ToolUrlRefused, match="of dots"):
        url.fill({"id": ".", "q": "."})


@pytest.mark.parametrize(
    "source",
    [
        "https://{{ id }}/x",
        "{{ id }}://example.com/x",
        "https://example.com:{{ id }}/x",
        "https://{{ id }}.example.com/x",
        "https://{{ id }}@example.com/x",
        "https://user@example.com/x",
        "https://example.com/x#{{ id }}",
        "https://example.com{{ id }}/x",
        "https://example.com/{{ other }}",
        "https://example.com/{{ id | upcase }}",
        "https://example.com/{{ id",
        "https://example.com/{% if id %}x{% endif %}",
        "ftp://example.com/{{ id }}",
        "/x/{{ id }}",
    ],
)
def test_a_url_that_leaves_open_where_it_leads_is_refused(source: str) -> None:
    with pytest.raises(ToolUrlRefused):
        ToolUrl(source, NAMES)
