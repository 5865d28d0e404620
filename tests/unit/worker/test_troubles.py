"""What a process knows of models that do not exist: for a while, for the key that asked, and until one answers."""

from types import SimpleNamespace

import pytest

from eventroute_worker import troubles as troubles_module
from eventroute_worker.troubles import Troubles


def test_a_missing_model_is_known_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(troubles_module, "time", SimpleNamespace(monotonic=lambda: now))
    known = Troubles()
    assert not known.is_gone("own", "old")
    known.miss("own", "old")
    assert known.is_gone("own", "old")
    assert not known.is_gone("theirs", "old")
    assert not known.is_gone("own", "new")
    now += troubles_module._GONE_S
    assert not known.is_gone("own", "old")


def test_a_model_that_answers_is_there() -> None:
    known = Troubles()
    known.miss("own", "old")
    known.answered("own", "new")
    assert known.is_gone("own", "old")
    known.answered("own", "old")
    assert not known.is_gone("own", "old")
