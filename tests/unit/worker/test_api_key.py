"""The worker's key follows its file, and has a name that does not tell it."""

import os
from pathlib import Path

import pytest

from eventroute.secret import Secret
from eventroute_worker.api_key import OwnKey, key_id, key_text


def _text(own: OwnKey) -> str:
    return key_text(own.current())


def _replace(file: Path, text: str) -> None:
    """Write as a kubelet does: another file takes the name."""
    new = file.with_name("new")
    new.write_text(text)
    new.replace(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("sk-one\n")
    return tmp_path / "key"


def test_a_key_without_a_file_stays_as_it_is() -> None:
    assert _text(OwnKey(Secret(b"sk-one"))) == "sk-one"
    assert OwnKey(None).current() is None


def test_a_new_key_is_seen(file: Path) -> None:
    own = OwnKey(Secret(b"sk-one"), file, look_s=0)
    assert _text(own) == "sk-one"
    _replace(file, "sk-two\n")
    assert _text(own) == "sk-two"


def test_the_file_is_looked_at_only_now_and_then(file: Path) -> None:
    own = OwnKey(Secret(b"sk-one"), file, look_s=60)
    assert _text(own) == "sk-one"
    _replace(file, "sk-two")
    assert _text(own) == "sk-one"


def test_a_refused_key_is_read_again_at_once_even_if_the_file_looks_the_same(file: Path) -> None:
    own = OwnKey(Secret(b"sk-one"), file, look_s=60)
    assert _text(own) == "sk-one"
    before = file.stat()
    file.write_text("sk-two\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _text(own) == "sk-one"
    own.distrust()
    assert _text(own) == "sk-two"


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_file_leaves_the_last_key_in_use(file: Path, text: str) -> None:
    own = OwnKey(Secret(b"sk-one"), file, look_s=0)
    _replace(file, text)
    assert _text(own) == "sk-one"


def test_a_file_that_is_away_leaves_the_last_key_in_use_and_is_told_once(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = OwnKey(Secret(b"sk-one"), file, look_s=0)
    file.unlink()
    assert [_text(own), _text(own)] == ["sk-one", "sk-one"]
    file.write_text("sk-two")
    assert _text(own) == "sk-two"
    printed = capsys.readouterr().out
    assert printed.count("claude_key_unreadable") == 1
    assert "sk-" not in printed


def test_a_key_is_named_without_being_told() -> None:
    name = key_id(Secret(b"sk-one"))
    assert len(name) == 16
    assert int(name, 16)
    assert key_id(Secret(b" sk-one\n")) == name
    assert key_id(Secret(b"sk-two")) != name
    assert [key_id(None), key_id(Secret(b" \n"))] == ["", ""]
