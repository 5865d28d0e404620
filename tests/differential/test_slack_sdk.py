"""Slack's own verifier."""

import time

import pytest
from slack_sdk.signature import SignatureVerifier

from eventroute.schemes import SCHEMES
from support.providers import Sent, header_texts, is_accepted, random_texts, send, with_header

SLACK = SCHEMES["slack"]


def is_accepted_by_sdk(sent: Sent) -> bool:
    return SignatureVerifier(sent.pair.configured.decode()).is_valid_request(
        sent.request.body, header_texts(sent.request)
    )


def test_what_we_accept_the_sdk_accepts() -> None:
    now = time.time()
    for text in random_texts(40):
        sent = send(SLACK, body=text.encode(), now=now)
        assert is_accepted(sent, now=now)
        assert is_accepted_by_sdk(sent)


def test_what_the_sdk_signs_we_accept() -> None:
    now = time.time()
    for text in random_texts(40):
        sent = send(SLACK, body=text.encode(), now=now)
        stamp = header_texts(sent.request)["x-slack-request-timestamp"]
        theirs = SignatureVerifier(sent.pair.configured.decode()).generate_signature(timestamp=stamp, body=text)
        assert theirs is not None
        assert is_accepted(sent, with_header(sent.request, b"x-slack-signature", theirs.encode()), now=now)


def test_both_refuse_what_is_too_old_or_too_early() -> None:
    for shift in (-301, 302):
        sent = send(SLACK, body=b"{}", now=time.time() + shift)
        assert not is_accepted_by_sdk(sent)
        assert not is_accepted(sent, now=time.time())


@pytest.mark.parametrize(
    ("header", "value", "error"),
    [
        (b"x-slack-signature", b"v0=\xe9", TypeError),
        (b"x-slack-request-timestamp", b"hello", ValueError),
    ],
)
def test_pinned_a_malformed_header_raises(header: bytes, value: bytes, error: type[Exception]) -> None:
    sent = send(SLACK, body=b"{}", now=time.time())
    request = with_header(sent.request, header, value)
    with pytest.raises(error):
        is_accepted_by_sdk(sent._replace(request=request))
    assert not is_accepted(sent, request, now=time.time())


def test_pinned_a_body_that_is_no_text_raises() -> None:
    sent = send(SLACK, body=b"\xff\xfe", now=time.time())
    assert is_accepted(sent, now=time.time())
    with pytest.raises(UnicodeDecodeError):
        is_accepted_by_sdk(sent)
