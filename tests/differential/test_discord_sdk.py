"""Discord's own verifier, over PyNaCl."""

import time

import pytest
from discord_interactions import verify_key

from eventroute.schemes import SCHEMES
from support.providers import Sent, header_texts, is_accepted, random_texts, send, with_header

DISCORD = SCHEMES["discord"]
HEADER = "x-signature-ed25519"


def is_accepted_by_sdk(sent: Sent) -> bool:
    headers = header_texts(sent.request)
    key = sent.pair.configured.decode()
    return bool(verify_key(sent.request.body, headers[HEADER], headers["x-signature-timestamp"], key))


def test_what_we_accept_the_sdk_accepts() -> None:
    now = time.time()
    for body in (*(text.encode() for text in random_texts(20)), b"\xff\xfe", b""):
        sent = send(DISCORD, body=body, now=now)
        assert is_accepted(sent, now=now)
        assert is_accepted_by_sdk(sent)


def test_pinned_a_signature_of_any_age_is_accepted() -> None:
    sent = send(DISCORD, now=1_000_000_000)
    assert is_accepted_by_sdk(sent)
    assert not is_accepted(sent, now=time.time())


def test_pinned_upper_case_and_spaced_hex_is_accepted() -> None:
    now = time.time()
    sent = send(DISCORD, now=now)
    good = header_texts(sent.request)[HEADER]
    for other in (good.upper(), " ".join(good[at : at + 2] for at in range(0, 128, 2))):
        request = with_header(sent.request, HEADER.encode(), other.encode())
        assert is_accepted_by_sdk(sent._replace(request=request))
        assert not is_accepted(sent, request, now=now)


def test_pinned_bad_hex_is_reported_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    sent = send(DISCORD, now=time.time())
    request = with_header(sent.request, HEADER.encode(), b"zz")
    assert not is_accepted_by_sdk(sent._replace(request=request))
    assert capsys.readouterr().out
