"""Markers: one that we wrote is found whatever it went through, and nothing else ever counts."""

import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventroute.hops import MOST, Markers, markers, may_have, unmarked
from eventroute.route_table import NO_KEY
from eventroute.secret import Secret

KEY = Secret(b"k" * 32)
OURS = Markers(KEY)
THREE = OURS.write(3)

Change = Callable[[str], str]


def _in_json(text: str) -> str:
    return json.dumps({"comment": {"body": text}})


WAYS: dict[str, Change] = {
    "as it is": str,
    "in an HTML comment": lambda marker: f"Thanks!\n\n<!-- {marker} -->\n",
    "in JSON": lambda marker: _in_json(f"a\n{marker}\nb"),  # an escape's letter stands right before it
    "in JSON, escaped for HTML": lambda marker: _in_json(f"<!-- {marker} -->").replace("<", "\\u003c"),
    "in HTML": lambda marker: html.escape(f"<p>{marker}</p>"),
    "in a form": lambda marker: f"payload={quote_plus(_in_json(marker))}",
    "percent-encoded": lambda marker: quote(f"\n{marker}\n", safe=""),
    "in JSON within JSON within a form": lambda marker: quote(_in_json(_in_json(marker)), safe=""),
    "before other letters": lambda marker: f"{marker}abcdefgh",
    "after other letters": lambda marker: f"abcdefgh{marker}",
    "in Markdown": lambda marker: f"**{marker}** and `{marker}`_{marker}_",
    "in lower case": str.lower,
    "behind a beginning of another": lambda marker: f"eventroute-hop-{marker}",
    "within what looks like another": lambda marker: f"eventroute-hop-09-aaaaaa{marker}",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hops", [1, 7, 20, MOST])
def test_a_marker_survives_its_way(way: str, hops: int) -> None:
    assert OURS.count(WAYS[way](OURS.write(hops)).encode()) == hops


def test_a_marker_has_only_what_nobody_escapes() -> None:
    assert re.fullmatch(r"eventroute-hop-03-[a-z2-7]{16}", THREE)
    assert quote(THREE, safe="") == html.escape(THREE) == THREE
    assert "--" not in THREE  # which ends an HTML comment, and which Slack and Word make a dash of


FORGED: dict[str, str] = {
    "a number of one's own": THREE.replace("-03-", "-99-"),
    "a smaller number": THREE.replace("-03-", "-01-"),
    "no hash": "eventroute-hop-05-",
    "a hash of one's own": "eventroute-hop-05-aaaaaaaaaaaaaaaa",
    "another installation's": Markers(Secret(b"x" * 32)).write(5),
    "cut": THREE[:-1],
    "cut, and filled up": f"{THREE[:-1]}!",
    "one character changed": THREE[:-1] + ("a" if THREE[-1] != "a" else "b"),
    "split by an escape": _in_json(f"{THREE[:20]}\n{THREE[20:]}"),
    "split by a soft hyphen": f"{THREE[:20]}\u00ad{THREE[20:]}",
    "in upper case": THREE.upper(),
    "of no hops": THREE.replace("-03-", "-00-"),
    "in digits of another script": THREE.replace("-03-", "-\u0660\u0663-"),
    "as words": "hops=99 eventroute-hop: 99",
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_no_marker_of_ours_counts_nothing(what: str) -> None:
    assert OURS.count(FORGED[what].encode()) == 0


def test_of_several_the_highest_genuine_one_counts() -> None:
    several = [*FORGED.values(), OURS.write(2), OURS.write(4), OURS.write(3), *FORGED.values()]
    assert OURS.count(" ".join(several).encode()) == 4
    assert OURS.count("".join(several).encode()) == 4


def test_without_a_key_none_is_written_and_none_is_known() -> None:
    """Whoever knows that there is no key could use it."""
    assert Markers(NO_KEY).write(1) == ""
    assert Markers(NO_KEY).count(THREE.encode()) == 0


def test_there_is_one_object_for_all_routes_of_an_installation() -> None:
    assert markers(KEY) is markers(Secret(b"k" * 32))


def test_more_hops_than_can_be_told_are_told_as_the_most() -> None:
    assert OURS.count(OURS.write(MOST + 1).encode()) == MOST


@given(st.binary())
def test_any_bytes_are_looked_through(data: bytes) -> None:
    assert OURS.count(data) == 0


_PIECES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([THREE.encode(), OURS.write(5).encode()]),
    st.sampled_from([text.encode() for text in FORGED.values()]),
    st.integers(1, 34).map(lambda length: THREE.encode()[:length]),
    st.from_regex(rb"eventroute-hop-[0-9]{2}-[a-z2-7]{16}", fullmatch=True),
)


@given(st.lists(_PIECES, max_size=8).map(b"".join))
def test_exactly_the_genuine_ones_in_it_count(data: bytes) -> None:
    """Not by the pattern: by looking for each marker that exists."""
    there = [hops for hops in range(1, MOST + 1) if OURS.write(hops).encode() in data]
    assert OURS.count(data) == max(there, default=0)
    assert may_have(data) or not there


@given(st.text() | st.lists(_PIECES, max_size=8).map(lambda parts: b"".join(parts).decode("latin-1")))
def test_none_is_left_in_what_is_shown(text: str) -> None:
    shown = unmarked(text)
    assert not re.search(r"eventroute-hop-[0-9]{2}-[a-z2-7]{16}", shown)
    assert unmarked(shown) == shown
    if "eventroute-hop-" not in text:
        assert shown == text


def test_an_html_comment_goes_with_its_marker() -> None:
    assert unmarked(f"Looks good.\n<!-- {THREE} -->\nBye") == "Looks good.\n \nBye"
    assert unmarked(f"<!-- {OURS.own_name('a/b')} 17 {THREE} -->\n\nBye") == " \n\nBye"
    assert unmarked(f"<!-- {OURS.own_name('a/b')} 17 -->Bye, {OURS.own_name('a/c')}.") == " Bye,  ."
    assert unmarked(f"a<!-- {THREE} not alone -->") == "a<!--   not alone -->"


def test_an_own_name_is_the_same_each_time_and_nobody_elses() -> None:
    name = OURS.own_name("team-a/triage/github")
    assert re.fullmatch(r"eventroute-own-[a-z2-7]{16}", name)
    assert name == OURS.own_name("team-a/triage/github")
    assert name != OURS.own_name("team-a/triage/github2")
    assert name != Markers(Secret(b"x" * 32)).own_name("team-a/triage/github")
    assert OURS.count(name.encode()) == 0
