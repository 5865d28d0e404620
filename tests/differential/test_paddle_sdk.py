"""Paddle's own verifier."""

import time
from typing import NamedTuple

import pytest
from paddle_billing.Notifications import Secret, Verifier

from eventroute.schemes import SCHEMES
from support.providers import Sent, is_accepted, random_texts, send, with_header

PADDLE = SCHEMES["paddle"]
HEADER = b"paddle-signature"


class Received(NamedTuple):
    """A request as web frameworks hand it over."""

    headers: dict[str, str]
    body: bytes


@pytest.fixture(autouse=True)
def _production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_MODE", raising=False)


def is_accepted_by_sdk(sent: Sent) -> bool:
    value = dict(sent.request.headers)[HEADER].decode("latin-1")
    received = Received({"Paddle-Signature": value}, sent.request.body)
    return bool(Verifier().verify(received, Secret(sent.pair.configured.decode())))


def test_what_we_accept_the_sdk_accepts() -> None:
    for text in random_texts(40):
        now = time.time()
        sent = send(PADDLE, body=text.encode(), now=now)
        assert is_accepted(sent, now=now)
        assert is_accepted_by_sdk(sent)


def test_both_refuse_what_is_too_old_or_too_early() -> None:
    for shift in (-7, 8):
        sent = send(PADDLE, body=b"{}", now=time.time() + shift)
        assert not is_accepted_by_sdk(sent)
        assert not is_accepted(sent, now=time.time())


def test_pinned_an_environment_variable_switches_the_clock_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MODE", "1")
    sent = send(PADDLE, body=b"{}", now=1_000_000_000)
    assert is_accepted_by_sdk(sent)
    assert not is_accepted(sent, now=time.time())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"ts=hello;h1=a", "invalid literal"),
        (b"ts=;h1=a", "invalid literal"),
        (b"ts=1=2;h1=a", "too many values"),
        (b"ts=1;h2=a", "Unrecognized"),
    ],
)
def test_pinned_a_malformed_header_raises(value: bytes, message: str) -> None:
    sent = send(PADDLE, body=b"{}", now=time.time())
    request = with_header(sent.request, HEADER, value)
    with pytest.raises(ValueError, match=message):
        is_accepted_by_sdk(sent._replace(request=request))
    assert not is_accepted(sent, request, now=time.time())
