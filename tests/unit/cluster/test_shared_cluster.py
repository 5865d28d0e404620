"""Runs that share a cluster: the last one to leave takes it away, and nobody waits for another's end."""

from pathlib import Path

from e2e.support.sharing import Shared


def test_a_run_by_itself_is_the_last(tmp_path: Path) -> None:
    with Shared(tmp_path / "lock") as only, only.alone():
        assert not only.is_used_by_others()


def test_the_first_to_leave_is_not_the_last_and_the_second_is(tmp_path: Path) -> None:
    with Shared(tmp_path / "lock") as second:
        with Shared(tmp_path / "lock") as first:
            with first.alone():
                pass  # it starts the cluster
            with second.alone():
                pass  # it finds it up
            with first.alone():
                assert first.is_used_by_others()
        with second.alone():
            assert not second.is_used_by_others()


def test_a_run_that_begins_while_another_leaves_counts(tmp_path: Path) -> None:
    with Shared(tmp_path / "lock") as leaving, leaving.alone(), Shared(tmp_path / "lock"):
        assert leaving.is_used_by_others()
