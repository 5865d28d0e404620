"""`send --wait`: until the route answers for itself, and no longer."""

import itertools
from collections.abc import Callable, Iterable

import pytest

from eventroute.errors import RetryLater
from eventroute_cli import send
from eventroute_cli.send import Sent, until_live


def sent(status: int) -> Sent:
    return Sent(provider="github", event="push", status=status, ms=1.0, answer="")


def trials(answers: Iterable[int | None]) -> Callable[[], Sent]:
    """Answer with one status after the other; None = nobody answers."""
    queue = iter(answers)

    def trial() -> Sent:
        if (status := next(queue)) is None:
            raise RetryLater("nobody answers")
        return sent(status)

    return trial


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "_PAUSE_S", 0)


def test_it_tries_while_nobody_answers_or_the_route_is_not_live() -> None:
    assert until_live(trials([None, 404, 503, 200]), wait_s=10).status == 200


@pytest.mark.parametrize("status", [200, 401, 413, 422, 429])
def test_an_answer_of_the_route_ends_the_waiting(status: int) -> None:
    assert until_live(trials([status]), wait_s=10).status == status


def test_without_waiting_the_first_answer_counts() -> None:
    assert until_live(trials([404]), wait_s=0).status == 404
    with pytest.raises(RetryLater):
        until_live(trials([None]), wait_s=0)


def test_the_last_answer_counts_when_the_time_is_over() -> None:
    assert until_live(trials(itertools.repeat(404)), wait_s=0.05).status == 404
