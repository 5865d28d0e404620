"""A word without quotes is read as kubectl reads it: what lint accepts is what the API server gets."""

import pytest

from eventroute.crd.document import Broken, Document, read_documents
from support.kubectl_yaml import REFUSED, Row, rows


def only(text: str) -> Document | Broken:
    (found,) = read_documents(text)
    return found


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.word)
def test_a_value_is_what_kubectl_makes_of_it(row: Row) -> None:
    document = only(f"a: {row.word}\n")
    if row.value == REFUSED:
        assert isinstance(document, Broken)
        assert "a number that JSON does not have" in document.message
        return
    assert isinstance(document, Document)
    read = document.value["a"]
    assert read == row.value
    assert isinstance(read, bool) is isinstance(row.value, bool)  # 1 == True in Python
    assert isinstance(read, str) is isinstance(row.value, str)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.word)
def test_the_name_of_a_field_is_what_kubectl_makes_of_it_or_refused(row: Row) -> None:
    document = only(f"{row.word or '~'}: 1\n")
    if isinstance(document, Broken):
        assert "is no text; put quotes around it" in document.message
        assert row.key == REFUSED or not isinstance(row.value, str | bool)
    else:
        assert document.value == {row.key: 1}


def test_a_whole_number_is_whole_however_it_is_written() -> None:
    document = only("[1.0, 1e3, 0x10, 0b11, 0o17, 017, 1_000]")
    assert isinstance(document, Document)
    assert document.value == [1, 1000, 16, 3, 15, 15, 1000]
    assert {type(each) for each in document.value} == {int}


@pytest.mark.parametrize("word", ["0x", "0x_", "0b", "0b_", "-", "+", "+_", "0o_", "1" * 5000, "1e" + "9" * 5000, "."])
def test_what_is_no_number_after_all_is_a_text(word: str) -> None:
    document = only(f"a: [{word}]")
    assert isinstance(document, Document)
    assert document.value == {"a": [word]}


def test_a_field_set_as_on_and_as_yes_is_set_twice() -> None:
    broken = only("on: 1\nyes: 2\n")
    assert isinstance(broken, Broken)
    assert (broken.line, broken.message) == (2, '"true" is set twice, here as a bare yes')


@pytest.mark.parametrize("quoted", ["'off'", '"off"', "|-\n  off", ">-\n  off"])
def test_quotes_and_blocks_keep_a_text(quoted: str) -> None:
    document = only(f"a: {quoted}\n'no': 1\n")
    assert isinstance(document, Document)
    assert document.value == {"a": "off", "no": 1}
