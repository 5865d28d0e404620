"""Asking a service over HTTP, for every kind of sink that does, and what its status means where it says no more."""

from http import HTTPStatus
from typing import Final, Protocol

from eventroute.outbound import Blocked
from eventroute_worker.backoff import read_retry_after
from eventroute_worker.outbound import Answer, Bounds, NoAnswer, Request
from eventroute_worker.sinks.model import SinkFailed, SinkRefused

_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_SERVER_ERROR: Final = 500
LONGEST_WAIT_S: Final = 3600  # that a service may ask for; arbitrary


class Asks(Protocol):
    """The way out."""

    async def send(self, request: Request, bounds: Bounds = ...) -> Answer:
        """Ask once; raises `Blocked` or `NoAnswer`."""
        ...


async def ask(way: Asks, request: Request, bounds: Bounds) -> Answer:
    """Ask once; raises `SinkFailed` without an answer, `SinkRefused` where the rules are against it."""
    try:
        return await way.send(request, bounds)
    except NoAnswer as error:
        raise SinkFailed(str(error)) from error
    except Blocked as error:
        raise SinkRefused(str(error)) from error


def is_success(answer: Answer) -> bool:
    """Tell whether the service took it."""
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES


def is_passing(answer: Answer) -> bool:
    """Tell whether the same request may succeed later."""
    return answer.status in _PASSING or answer.status >= _SERVER_ERROR


def after_s(answer: Answer) -> float | None:
    """Read the least wait that a service asks for."""
    asked_s = read_retry_after(answer.headers.get("retry-after", ""))
    return None if asked_s is None else min(asked_s, LONGEST_WAIT_S)
