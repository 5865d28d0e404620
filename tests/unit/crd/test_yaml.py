"""YAML as people write it, and as nobody should: a problem with its line, never an exception, never a surprise."""

import time

import pytest

from eventroute.crd.document import Broken, Document, read_documents


def only(text: str) -> Document | Broken:
    found = list(read_documents(text))
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", False),
        ("a: on", True),
        ("a: 2026-01-01", "2026-01-01"),
        ("a: 1:30", "1:30"),
        ("a: 0123", 83),
        ("a: 0x1F", 31),
        ("a: 1_000", 1000),
        ("a: 99999999999999999999", 1e20),
        ("a: true", True),
        ("a: False", False),
        ("a: null", None),
        ("a:", None),
        ("a: -5", -5),
        ("a: 1.5e3", 1500.0),
        ("a: '5'", "5"),
        ('a: "true"', "true"),
        ("a: |\n  5\n", "5\n"),
        ('{"a": [1, {"b": null}]}', [1, {"b": None}]),
        ("a: {}", {}),
    ],
)
def test_words_and_figures_without_quotes_may_be_anything_but_text(text: str, value: object) -> None:
    document = only(text)
    assert isinstance(document, Document)
    assert document.value == {"a": value}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, '"a" is set twice'),
        ("a: &x [1]\nb: *x", 2, "aliases (*x) are not supported"),
        ("a:\n  <<: {b: 1}", 2, "merge keys (<<) are not supported"),
        ("a: !!python/object:os.system x", 1, "tags (tag:yaml.org,2002:python/object:os.system) are not supported"),
        ("a: !secret x", 1, "tags (!secret) are not supported"),
        ("a:\n\t- b", 2, "found character that cannot start any token"),
        ("a: [1", 2, "did not find expected"),
        ("a: 'x", 1, "found unexpected end of stream"),
        ("a: \x00", 1, "control characters are not allowed"),
        ("{a: 1}: b", 1, "keys must be plain texts"),
        ("a: " + "[" * 70 + "]" * 70, 1, "nested deeper than 64"),
        ("[" * 100_000, 1, "nested deeper than 64"),
    ],
)
def test_what_manifests_have_no_use_for_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    first = next(iter(read_documents(text)))
    assert isinstance(first, Broken)
    assert first.line == line
    assert message in first.message


def test_a_bomb_does_not_go_off() -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
    start = time.perf_counter()
    assert isinstance(only("\n".join(["l0: &l0 [lol]", *levels])), Broken)
    assert time.perf_counter() - start < 1


def test_a_broken_document_does_not_hide_the_next_one() -> None:
    found = list(read_documents("a: 1\n---\nb: 1\nb: 2\n---\nc: 3\n"))
    assert [type(document) for document in found] == [Document, Broken, Document]
    assert [document.number for document in found] == [1, 2, 3]


def test_every_field_has_its_line() -> None:
    document = only("a: 1\nb:\n  - c: 2\n\n  - c: |\n      text\nd: {e: [5,\n  6]}\n")
    assert isinstance(document, Document)
    lines = {"": 1, "a": 1, "b": 2, "b[0]": 3, "b[0].c": 3, "b[1]": 5, "b[1].c": 5, "d": 7, "d.e": 7, "d.e[0]": 7}
    assert {path: document.lines[path] for path in lines} == lines
    assert document.lines["d.e[1]"] == 8
    assert document.literals == {"b[1].c"}
