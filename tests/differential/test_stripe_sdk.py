"""Stripe's own verifier."""

import time

import pytest
from stripe import SignatureVerificationError, WebhookSignature

from eventroute.schemes import SCHEMES
from support.providers import Sent, is_accepted, random_texts, send, with_header

STRIPE = SCHEMES["stripe"]
HEADER = b"stripe-signature"


def verify_by_sdk(sent: Sent, header: bytes | None = None) -> None:
    """Raise unless the SDK accepts."""
    value = dict(sent.request.headers)[HEADER] if header is None else header
    WebhookSignature.verify_header(
        sent.request.body, value.decode("latin-1"), sent.pair.configured.decode(), tolerance=300
    )


def test_what_we_accept_the_sdk_accepts() -> None:
    now = time.time()
    for text in random_texts(40):
        sent = send(STRIPE, body=text.encode(), now=now)
        assert is_accepted(sent, now=now)
        verify_by_sdk(sent)


def test_what_the_sdk_signs_we_accept() -> None:
    now = int(time.time())
    for text in random_texts(40):
        sent = send(STRIPE, body=text.encode(), now=now)
        theirs = WebhookSignature.generate_signature_header(text, sent.pair.configured.decode(), timestamp=now)
        assert is_accepted(sent, with_header(sent.request, HEADER, theirs.encode()), now=now)


def test_both_refuse_the_decoy_of_test_mode() -> None:
    sent = send(STRIPE, body=b"{}", now=time.time())
    decoy = dict(sent.request.headers)[HEADER].replace(b"v1=", b"v0=")
    with pytest.raises(SignatureVerificationError):
        verify_by_sdk(sent, decoy)
    assert not is_accepted(sent, with_header(sent.request, HEADER, decoy), now=time.time())


def test_pinned_a_timestamp_three_years_ahead_is_accepted() -> None:
    sent = send(STRIPE, body=b"{}", now=time.time() + 3 * 365 * 86_400)
    verify_by_sdk(sent)
    assert not is_accepted(sent, now=time.time())


def test_pinned_of_two_timestamps_the_first_is_taken() -> None:
    sent = send(STRIPE, body=b"{}", now=time.time())
    twice = dict(sent.request.headers)[HEADER] + b",t=1"
    verify_by_sdk(sent, twice)
    assert not is_accepted(sent, with_header(sent.request, HEADER, twice), now=time.time())


def test_pinned_a_signature_that_is_not_ascii_raises() -> None:
    sent = send(STRIPE, body=b"{}", now=time.time())
    odd = dict(sent.request.headers)[HEADER] + b"\xe9"
    with pytest.raises(TypeError):
        verify_by_sdk(sent, odd)
    assert not is_accepted(sent, with_header(sent.request, HEADER, odd), now=time.time())


def test_pinned_a_body_that_is_no_text_raises() -> None:
    now = time.time()
    sent = send(STRIPE, body=b"\xff\xfe", now=now)
    assert is_accepted(sent, now=now)
    with pytest.raises(UnicodeDecodeError):
        verify_by_sdk(sent)
