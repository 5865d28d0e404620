"""A sealed entry opens with its own key in its own place, and nowhere else."""

import base64
from collections.abc import Callable

import pytest

from eventroute.errors import Refused
from eventroute.sealed import SealKey, new_key_text


def test_what_was_sealed_opens_again() -> None:
    key = SealKey.from_text(new_key_text())
    assert key.open(key.seal(b"entry", context="route a/b"), context="route a/b") == b"entry"


def test_sealing_twice_never_looks_the_same() -> None:
    key = SealKey.from_text(new_key_text())
    assert key.seal(b"entry", context="c") != key.seal(b"entry", context="c")


def test_an_entry_moved_to_another_route_does_not_open() -> None:
    key = SealKey.from_text(new_key_text())
    sealed = key.seal(b"entry", context="route a/b")
    with pytest.raises(Refused, match="route a/c"):
        key.open(sealed, context="route a/c")


def test_a_derived_key_is_the_same_for_one_purpose_and_another_one_for_another() -> None:
    text = new_key_text()
    first, again, other = SealKey.from_text(text), SealKey.from_text(text), SealKey.from_text(new_key_text())
    assert first.derive("a") == again.derive("a")
    assert len({key.derive(purpose).reveal() for key in (first, other) for purpose in ("a", "b", "")}) == 6
    assert base64.b64decode(text) not in {first.derive("a").reveal(), first.derive("").reveal()}
    assert len(first.derive("a").reveal()) == 32


def test_another_key_does_not_open_it() -> None:
    sealed = SealKey.from_text(new_key_text()).seal(b"entry", context="c")
    with pytest.raises(Refused):
        SealKey.from_text(new_key_text()).open(sealed, context="c")


@pytest.mark.parametrize("damage", [lambda s: s[:-1], lambda s: s[:5], lambda s: s[:0], lambda s: s[:-1] + b"\0\0"])
def test_a_damaged_entry_is_refused(damage: Callable[[bytes], bytes]) -> None:
    key = SealKey.from_text(new_key_text())
    sealed = key.seal(b"entry", context="c")
    with pytest.raises(Refused):
        key.open(damage(sealed), context="c")


@pytest.mark.parametrize("text", ["", "abc", "####", "QUJD", "ä"])
def test_a_key_that_is_not_32_bytes_of_base64_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="table key"):
        SealKey.from_text(text)


def test_an_entry_that_was_sealed_by_another_version_opens() -> None:
    key = SealKey(bytes(range(32)))
    sealed = bytes.fromhex("000102030405060708090a0b226ca269bc256ac66ef3be88f27f97719571cd330a")
    assert key.open(sealed, context="worker team-a/triage") == b"entry"


@pytest.mark.parametrize("around", ["{}\n", " {}", "{}\r\n", "\n{}\n\n"])
def test_what_an_editor_adds_to_a_key_file_is_no_part_of_the_key(around: str) -> None:
    text = new_key_text()
    sealed = SealKey.from_text(text).seal(b"entry", context="c")
    assert SealKey.from_text(around.format(text)).open(sealed, context="c") == b"entry"
