"""What a manifest's `custom` may say beyond the built-in rows: every kind, encoding, digest and key form works."""

import hashlib
import hmac
from itertools import product

import pytest
from msgspec.structs import replace

from eventroute.outcome import Refusal
from eventroute.schemes import (
    SCHEMES,
    Events,
    Rejected,
    Request,
    Scheme,
    Strength,
    Verified,
    generate_secret,
    lint_key,
    lint_scheme,
    parse_key,
    read,
    verify,
)
from support.providers import NOW, send, with_header

BASE = Scheme(
    name="custom",
    signature="header:X-Acme-Signature",
    signed=("timestamp", "text:.", "body"),
    timestamp="header:X-Acme-Time",
    tolerance_s=60,
    event=("header:X-Acme-Event",),
    id=("header:X-Acme-Id",),
)
COMBINATIONS = [
    *(
        replace(BASE, key=key, encoding=encoding, digest=digest)
        for key, encoding, digest in product(
            ("utf8", "whsec", "base64", "hex"), ("hex", "base64", "base64url"), ("sha256", "sha512")
        )
    ),
    *(
        replace(BASE, kind="ed25519", key=key, encoding=encoding)
        for key, encoding in product(("hex", "base64", "whpk", "spki"), ("hex", "base64", "base64url"))
    ),
    *(replace(BASE, kind="ecdsa-p256", key="spki", encoding=encoding) for encoding in ("hex", "base64", "base64url")),
    replace(BASE, kind="hash", digest="sha512"),
    replace(BASE, separator=" ", prefix="v1,"),
    replace(BASE, separator=";", prefix="sig=", timestamp="signature:at"),
]


@pytest.mark.parametrize(
    "scheme", COMBINATIONS, ids=lambda s: f"{s.kind}-{s.key}-{s.encoding}-{s.digest}-{s.separator}"
)
def test_every_combination_signs_and_verifies(scheme: Scheme) -> None:
    assert lint_scheme(scheme) == []
    sent = send(scheme, body=b'{"a":1}', event="thing.happened", delivery="id-1")
    assert lint_key(scheme, sent.pair.configured) is None
    assert verify(scheme, sent.request, [sent.key], NOW) == Verified(0, Strength.VERIFIED)
    events = read(scheme, sent.request)
    assert isinstance(events, Events)
    assert (events.items[0].type, events.items[0].id) == ("thing.happened", "id-1")
    other = parse_key(scheme, generate_secret(scheme).configured)
    assert verify(scheme, sent.request, [other], NOW) == Rejected(Refusal.MISMATCH)


def test_sha512_is_the_hmac_that_openssl_makes() -> None:
    scheme = Scheme(name="custom", signature="header:x-signature", signed=("body",), digest="sha512")
    secret = b"0123456789abcdef0123456789abcdef"
    signature = hmac.new(secret, b"{}", hashlib.sha512).hexdigest().encode()
    assert len(signature) == 128
    request = Request(method="POST", url=None, headers=[(b"x-signature", signature)], body=b"{}")
    assert isinstance(verify(scheme, request, [parse_key(scheme, secret)], NOW), Verified)


def test_header_names_of_a_row_have_no_case() -> None:
    sent = send(BASE, body=b"{}")
    assert {b"x-acme-signature", b"x-acme-time", b"x-acme-id"} <= {name for name, _ in sent.request.headers}


def test_a_tolerance_can_be_replaced_for_one_route() -> None:
    stripe = SCHEMES["stripe"]
    patient = replace(stripe, tolerance_s=3600)
    sent = send(stripe, now=NOW - 1800)
    assert verify(stripe, sent.request, [sent.key], NOW) == Rejected(Refusal.STALE)
    assert isinstance(verify(patient, sent.request, [sent.key], NOW), Verified)


def test_an_advisory_timestamp_is_judged_but_can_be_changed() -> None:
    scheme = replace(BASE, signed=("body",), advisory=True)
    sent = send(scheme, body=b"{}", now=NOW - 61)
    assert verify(scheme, sent.request, [sent.key], NOW) == Rejected(Refusal.STALE)
    refreshed = with_header(sent.request, b"x-acme-time", str(int(NOW)).encode())
    assert isinstance(verify(scheme, refreshed, [sent.key], NOW), Verified)


def test_a_scheme_without_a_secret_accepts_everything_and_says_so() -> None:
    request = Request(method="POST", url=None, headers=[(b"authorization", b"Bearer x")], body=b"{}")
    assert verify(SCHEMES["none"], request, [], NOW) == Verified(0, Strength.OPEN)


def test_an_optional_part_is_empty_when_it_is_absent() -> None:
    scheme = Scheme(name="custom", signature="header:x-signature", signed=("header:x-tenant?", "body"))
    sent = send(scheme, body=b"{}")
    assert isinstance(verify(scheme, sent.request, [sent.key], NOW), Verified)
    assert isinstance(verify(scheme, with_header(sent.request, b"x-tenant", b""), [sent.key], NOW), Verified)
    assert isinstance(verify(scheme, with_header(sent.request, b"x-tenant", b"b"), [sent.key], NOW), Rejected)
