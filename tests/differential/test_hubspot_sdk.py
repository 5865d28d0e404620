"""HubSpot's own verifier, all three generations."""

import hashlib
import time

import pytest
from hubspot.utils.signature import Signature

from eventroute.schemes import SCHEMES, Scheme
from support.providers import URL, Sent, header_texts, is_accepted, random_texts, send, with_header

V3 = SCHEMES["hubspot"]
VERSIONS = {"hubspot": "v3", "hubspot-v1": "v1", "hubspot-v2": "v2"}
rows = pytest.mark.parametrize("scheme", [SCHEMES[name] for name in VERSIONS], ids=lambda row: row.name)


def is_accepted_by_sdk(sent: Sent) -> bool:
    headers = header_texts(sent.request)
    return bool(
        Signature.is_valid(
            headers[sent.scheme.signature.removeprefix("header:")],
            sent.pair.configured.decode(),
            sent.request.body.decode(),
            http_uri=sent.request.url,
            http_method=sent.request.method,
            signature_version=VERSIONS[sent.scheme.name],
            timestamp=headers.get("x-hubspot-request-timestamp"),
        )
    )


@rows
def test_what_we_accept_the_sdk_accepts(scheme: Scheme) -> None:
    now = time.time()
    for text in random_texts(40):
        sent = send(scheme, body=text.encode(), url=URL + "?a=1&b=%20c", now=now)
        assert is_accepted(sent, now=now)
        assert is_accepted_by_sdk(sent)


@rows
def test_what_the_sdk_signs_we_accept(scheme: Scheme) -> None:
    now = time.time()
    for text in random_texts(40):
        sent = send(scheme, body=text.encode(), now=now)
        theirs = Signature.get_signature(
            sent.pair.configured.decode(),
            text,
            VERSIONS[scheme.name],
            URL,
            "POST",
            header_texts(sent.request).get("x-hubspot-request-timestamp"),
        )
        header = scheme.signature.removeprefix("header:").encode()
        assert is_accepted(sent, with_header(sent.request, header, theirs.encode()), now=now)


def test_pinned_a_timestamp_three_years_ahead_is_accepted() -> None:
    sent = send(V3, body=b"[]", now=time.time() + 3 * 365 * 86_400)
    assert is_accepted_by_sdk(sent)
    assert not is_accepted(sent, now=time.time())


def test_pinned_the_sdk_does_not_decode_the_url_as_the_documentation_asks() -> None:
    now = time.time()
    sent = send(V3, body=b"[]", url=URL + "?a=%40", now=now)
    assert is_accepted(sent, now=now)
    assert not is_accepted_by_sdk(sent)


def test_pinned_an_empty_secret_is_a_secret() -> None:
    assert Signature.is_valid(hashlib.sha256(b"[]").hexdigest(), "", "[]", signature_version="v1")


def test_pinned_a_signature_that_is_not_ascii_raises() -> None:
    sent = send(V3, body=b"[]", now=time.time())
    request = with_header(sent.request, b"x-hubspot-signature-v3", b"\xe9")
    with pytest.raises(TypeError):
        is_accepted_by_sdk(sent._replace(request=request))
    assert not is_accepted(sent, request, now=time.time())
