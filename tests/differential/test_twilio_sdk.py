"""Twilio's own verifier, both digests."""

import random
from urllib.parse import parse_qsl, urlencode

import pytest
from twilio.request_validator import RequestValidator

from eventroute.schemes import SCHEMES, Request, Scheme
from support.providers import Sent, header_texts, is_accepted, random_texts, send, with_header

TWILIO = SCHEMES["twilio"]
SHA256 = SCHEMES["twilio-sha256"]
FORM = (b"content-type", b"application/x-www-form-urlencoded")
URLS = (
    "https://h.example/x",
    "https://h.example/x?a=1&b=%20c",
    "https://h.example:8443/x?a=1",
    "http://h.example/x",
    "http://h.example:8080",
)

pytestmark = pytest.mark.parametrize("scheme", [TWILIO, SHA256], ids=lambda row: row.name)


class Fields(dict[str, list[str]]):
    """A form as web frameworks hand it over."""

    def getall(self, name: str) -> list[str]:
        return self[name]


def fields_of(body: bytes) -> Fields:
    found = Fields()
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


def is_accepted_by_sdk(sent: Sent, params: Fields | str) -> bool:
    algorithm = "HMAC_SHA256" if sent.scheme is SHA256 else "HMAC_SHA1"
    signature = header_texts(sent.request)["x-twilio-signature"]
    validator = RequestValidator(sent.pair.configured.decode())
    return bool(validator.validate(sent.request.url, params, signature, algorithm))


def test_what_we_accept_of_forms_the_sdk_accepts(scheme: Scheme) -> None:
    chooser = random.Random(1)  # repeatable, not secret
    texts = random_texts(60)
    for url in URLS:
        for _ in range(8):
            pairs = [(chooser.choice("ABab1é "), chooser.choice(texts)) for _ in range(chooser.randint(1, 6))]
            sent = send(scheme, body=urlencode(pairs).encode(), url=url, headers=[FORM])
            assert is_accepted(sent)
            assert is_accepted_by_sdk(sent, fields_of(sent.request.body))


def test_what_the_sdk_signs_of_forms_we_accept(scheme: Scheme) -> None:
    algorithm = "HMAC_SHA256" if scheme is SHA256 else "HMAC_SHA1"
    for url in URLS:
        sent = send(scheme, body=b"To=%2B1&From=2&Digits=5&Digits=1&Digits=1&Empty=", url=url, headers=[FORM])
        validator = RequestValidator(sent.pair.configured.decode())
        theirs = validator.compute_signature(url, fields_of(sent.request.body), algorithm)
        assert is_accepted(sent, with_header(sent.request, b"x-twilio-signature", theirs.encode()))


def test_what_we_accept_of_json_the_sdk_accepts(scheme: Scheme) -> None:
    for text in random_texts(20):
        for url in URLS:
            sent = send(scheme, body=text.encode(), url=url)
            assert is_accepted(sent)
            assert is_accepted_by_sdk(sent, text)


def test_pinned_a_bad_port_raises(scheme: Scheme) -> None:
    sent = send(scheme, body=b"A=1", headers=[FORM])
    odd = "https://h.example:99999/x"
    with pytest.raises(ValueError, match="Port out of range"):
        is_accepted_by_sdk(sent._replace(request=_at(sent.request, odd)), Fields(A=["1"]))
    assert not is_accepted(sent, _at(sent.request, odd))


def test_pinned_json_without_its_hash_raises(scheme: Scheme) -> None:
    sent = send(scheme, body=b"{}")
    bare = _at(sent.request, "https://h.example/x")
    with pytest.raises(TypeError):
        is_accepted_by_sdk(sent._replace(request=bare), "{}")
    assert not is_accepted(sent, bare)


def _at(request: Request, url: str) -> Request:
    return Request(method=request.method, url=url, headers=request.headers, body=request.body)
