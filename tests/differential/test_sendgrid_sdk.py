"""SendGrid's own verifier."""

import binascii
import time

import pytest
from sendgrid.helpers.eventwebhook import EventWebhook

from eventroute.schemes import SCHEMES
from support.providers import Sent, header_texts, is_accepted, random_texts, send, with_header

SENDGRID = SCHEMES["sendgrid"]
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


def is_accepted_by_sdk(sent: Sent) -> bool:
    headers = header_texts(sent.request)
    oracle = EventWebhook(sent.pair.configured.decode())
    return bool(oracle.verify_signature(sent.request.body.decode(), headers[SIGNATURE], headers[TIMESTAMP]))


def test_what_we_accept_the_sdk_accepts() -> None:
    now = time.time()
    for text in random_texts(20):
        sent = send(SENDGRID, body=text.encode() + b"\r\n", now=now)
        assert is_accepted(sent, now=now)
        assert is_accepted_by_sdk(sent)


def test_both_refuse_the_signature_of_another_key() -> None:
    now = time.time()
    sent, stranger = send(SENDGRID, now=now), send(SENDGRID, now=now)
    mixed = sent._replace(request=stranger.request)
    assert not is_accepted(mixed, now=now)
    assert not is_accepted_by_sdk(mixed)


def test_pinned_a_signature_of_any_age_is_accepted() -> None:
    sent = send(SENDGRID, now=1_000_000_000)
    assert is_accepted_by_sdk(sent)
    assert not is_accepted(sent, now=time.time())


def test_pinned_a_signature_that_is_no_base64_raises() -> None:
    sent = send(SENDGRID, now=time.time())
    request = with_header(sent.request, SIGNATURE.encode(), b"a")
    with pytest.raises(binascii.Error):
        is_accepted_by_sdk(sent._replace(request=request))
    assert not is_accepted(sent, request, now=time.time())
