"""The route chooses the scheme: a weaker or older signature is refused, however valid it is in itself."""

import hashlib
import hmac
from itertools import product

import pytest

from eventroute.outcome import Refusal
from eventroute.schemes import SCHEMES, KeyRefused, Rejected, Request, Verified, parse_key, verify
from support.providers import NOW, ROWS, SECRET_ROWS, changed, send, signature_header, with_header

BODY = b'{"type":"a","id":"1"}'
SECRET = b"0123456789abcdef0123456789abcdef"


def hmac_hex(digest: str, message: bytes) -> bytes:
    return hmac.digest(SECRET, message, digest).hex().encode()


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("github", {b"x-hub-signature": b"sha1=" + hmac_hex("sha1", BODY)}),
        ("github", {b"x-hub-signature-256": b"sha1=" + hmac_hex("sha1", BODY)}),
        ("github", {b"x-hub-signature-256": b"sha256=" + hmac_hex("sha1", BODY)}),
        ("github", {b"x-hub-signature": b"sha256=" + hmac_hex("sha256", BODY)}),
        ("github-sha1", {b"x-hub-signature-256": b"sha256=" + hmac_hex("sha256", BODY)}),
        ("bitbucket", {b"x-hub-signature": b"sha1=" + hmac_hex("sha1", BODY)}),
        ("jira", {b"x-hub-signature": b"sha512=" + hmac_hex("sha512", BODY)}),
        ("intercom", {b"x-hub-signature": b"sha256=" + hmac_hex("sha256", BODY)}),
        ("stripe", {b"stripe-signature": b"t=1700000000,v0=" + hmac_hex("sha256", b"1700000000." + BODY)}),
        ("stripe", {b"stripe-signature": b"v1=" + hmac_hex("sha256", b"." + BODY)}),
        (
            "hubspot",
            {
                b"x-hubspot-signature-version": b"v1",
                b"x-hubspot-signature": hashlib.sha256(SECRET + BODY).hexdigest().encode(),
                b"x-hubspot-request-timestamp": b"1700000000000",
            },
        ),
    ],
)
def test_a_signature_of_another_generation_is_refused(name: str, headers: dict[bytes, bytes]) -> None:
    scheme = SCHEMES[name]
    request = Request(method="POST", url="https://h.example/", headers=list(headers.items()), body=BODY)
    assert isinstance(verify(scheme, request, [parse_key(scheme, SECRET)], NOW), Rejected)


def test_the_strong_header_stripped_leaves_nothing_to_accept() -> None:
    hubspot = SCHEMES["hubspot"]
    sent = send(hubspot)
    weak = send(SCHEMES["hubspot-v2"], body=sent.request.body, pair=sent.pair)
    both = changed(sent.request, headers=[*sent.request.headers, *weak.request.headers])
    stripped = [(name, value) for name, value in both.headers if name != b"x-hubspot-signature-v3"]
    assert isinstance(verify(hubspot, both, [sent.key], NOW), Verified)
    assert verify(hubspot, changed(both, headers=stripped), [sent.key], NOW) == Rejected(Refusal.MISSING_HEADER)


_NEUTRAL_USERS = {"standard-webhooks", "gitlab", "openai", "anthropic"}
_SVIX_USERS = {"svix", "clerk", "resend"}
"""Svix signs in one way under either set of header names."""


def test_a_valid_delivery_verifies_only_on_routes_of_its_own_wire_format() -> None:
    """Every row's request meets every other row, with the same secret where it fits: few pairs speak one language."""
    accepted = set()
    for sender in SECRET_ROWS:
        sent = send(sender)
        for receiver in SECRET_ROWS:
            try:
                key = parse_key(receiver, sent.pair.configured)
            except KeyRefused:  # a secret of another form
                continue
            if sender.name != receiver.name and isinstance(verify(receiver, sent.request, [key], NOW), Verified):
                accepted.add((sender.name, receiver.name))
    same_language = [
        _NEUTRAL_USERS,
        _SVIX_USERS,
        {"bitbucket", "jira"},
        {"github", "meta"},
        {"github-sha1", "intercom"},
        {"alertmanager", "cloudevents", "cloudevents-batch", "generic-token"},
        {"alertmanager-basic", "cloudevents-basic"},
    ]
    mutual = {(a, b) for group in same_language for a in group for b in group if a != b}
    assert accepted == mutual | set(product(_NEUTRAL_USERS, _SVIX_USERS))


def test_a_request_without_its_key_header_is_not_tried_as_another_scheme() -> None:
    for scheme in ROWS:
        if scheme.kind != "none":
            bare = Request(method="POST", url="https://h.example/", headers=[], body=BODY)
            assert isinstance(verify(scheme, bare, [], NOW), Rejected)


def test_a_public_key_is_never_an_hmac_key() -> None:
    ed25519 = SCHEMES["standard-webhooks-ed25519"]
    sent = send(ed25519)
    message = b".".join(
        (*(dict(sent.request.headers)[name] for name in (b"webhook-id", b"webhook-timestamp")), sent.request.body)
    )
    confused = hmac.digest(sent.pair.configured, message, "sha256").hex().encode()
    for scheme, value in ((ed25519, b"v1," + confused), (SCHEMES["standard-webhooks"], b"v1," + confused)):
        request = with_header(sent.request, signature_header(scheme), value)
        assert isinstance(verify(scheme, request, [sent.key], NOW), Rejected)


def test_a_key_serves_no_other_kind_of_scheme() -> None:
    """A verify token, an HMAC key and a hash's secret of the same bytes are three keys."""
    rows = [SCHEMES[name] for name in ("intercom", "hubspot-v1", "gitlab-token")]
    for row in rows:
        sent = send(row)
        for other in rows:
            key = parse_key(other, sent.pair.configured)
            assert isinstance(verify(row, sent.request, [key], NOW), Verified) == (row is other)
