"""Changes of manifests are noticed once, whole, and however they are saved."""

import os
from pathlib import Path

import pytest

from eventroute_cli.local.changes import Changes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "route.yaml"
    path.write_text("one")
    return path


def come(changes: Changes) -> list[bool]:
    """Look three times, as a command does."""
    return [changes.come() for _ in range(3)]


NOTHING = [False, False, False]
ONCE = [False, True, False]  # the first look sees that it is different, the second that it stands still


def test_nothing_comes_of_files_that_stay_as_they_are(file: Path) -> None:
    assert come(Changes([file, file.parent], recursive=True)) == NOTHING


def test_a_file_written_in_place_comes_once(file: Path) -> None:
    changes = Changes([file], recursive=False)
    file.write_text("another")
    assert come(changes) == ONCE


def test_a_file_that_replaces_another_comes_each_time(file: Path, tmp_path: Path) -> None:
    changes = Changes([file], recursive=False)
    before = file.stat()
    for _ in range(3):
        beside = tmp_path / "beside"
        beside.write_text("two")  # as long as before, and of the same time
        os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
        beside.replace(file)
        assert come(changes) == ONCE


def test_a_file_that_is_still_being_written_is_waited_for(file: Path) -> None:
    changes = Changes([file], recursive=False)
    for text in ("a", "ab", "abc"):
        file.write_text(text * 10)
        assert not changes.come()
    assert changes.come()


def test_files_of_a_directory_come_and_go(tmp_path: Path, file: Path) -> None:
    changes = Changes([tmp_path], recursive=False)
    (tmp_path / "new.yml").touch()
    assert come(changes) == ONCE
    file.unlink()
    assert come(changes) == ONCE


def test_what_is_no_manifest_does_not_count(tmp_path: Path) -> None:
    changes = Changes([tmp_path], recursive=True)
    (tmp_path / ".route.yaml.swp").touch()
    (tmp_path / "README.md").touch()
    assert come(changes) == NOTHING


@pytest.mark.parametrize(("recursive", "expected"), [(False, NOTHING), (True, ONCE)])
def test_folders_of_a_directory_count_only_when_asked_for(
    tmp_path: Path, expected: list[bool], *, recursive: bool
) -> None:
    (tmp_path / "folder").mkdir()
    changes = Changes([tmp_path], recursive=recursive)
    (tmp_path / "folder" / "route.yaml").touch()
    assert come(changes) == expected


def test_a_directory_that_is_removed_and_made_again_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "routes"
    folder.mkdir()
    (folder / "route.yaml").touch()
    changes = Changes([folder], recursive=False)
    (folder / "route.yaml").unlink()
    folder.rmdir()
    assert come(changes) == ONCE
    folder.mkdir()
    (folder / "route.yaml").touch()
    assert come(changes) == ONCE
