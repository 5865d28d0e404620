"""Standard Webhooks, Svix and OpenAI: one wire format, three verifiers."""

import base64
import binascii
import hashlib
import hmac
import time
from datetime import UTC, datetime

import openai
import pytest
import standardwebhooks
import svix.webhooks

from eventroute.schemes import SCHEMES, KeyPair, Scheme, parse_key
from support.providers import Sent, header_named, header_texts, is_accepted, random_texts, send, with_header

STANDARD = SCHEMES["standard-webhooks"]
SVIX = SCHEMES["svix"]
OPENAI = SCHEMES["openai"]
TEXTS = random_texts(40)
CLIENT = openai.OpenAI(api_key="none")


def accepted_by_sdk(sent: Sent) -> None:
    """Raise unless the SDK of the row accepts."""
    headers, secret = header_texts(sent.request), sent.pair.configured.decode()
    match sent.scheme.name:
        case "svix":
            svix.webhooks.Webhook(secret).verify(sent.request.body, headers)
        case "openai":
            CLIENT.webhooks.verify_signature(sent.request.body, headers, secret=secret)
        case _:
            standardwebhooks.Webhook(secret).verify(sent.request.body, headers, json_parse=False)


@pytest.mark.parametrize("scheme", [STANDARD, SVIX, OPENAI], ids=lambda row: row.name)
def test_what_we_accept_the_sdk_accepts(scheme: Scheme) -> None:
    now = time.time()
    for text in TEXTS:
        sent = send(scheme, body=text.encode(), now=now)
        assert is_accepted(sent, now=now)
        accepted_by_sdk(sent)


def test_what_the_sdk_signs_we_accept() -> None:
    now = int(time.time())
    for text in TEXTS:
        sent = send(STANDARD, body=text.encode(), now=now, headers=[(b"webhook-id", b"msg_1")])
        webhook = standardwebhooks.Webhook(sent.pair.configured.decode())
        theirs = webhook.sign("msg_1", datetime.fromtimestamp(now, UTC), text)
        assert is_accepted(sent, with_header(sent.request, b"webhook-signature", theirs.encode()), now=now)


@pytest.mark.parametrize("scheme", [STANDARD, SVIX], ids=lambda row: row.name)
def test_pinned_a_fraction_of_a_second_is_floored_and_accepted(scheme: Scheme) -> None:
    sent = send(scheme, body=b"{}", now=time.time())
    name = header_named(scheme.timestamp)
    request = with_header(sent.request, name, dict(sent.request.headers)[name] + b".9")
    accepted_by_sdk(sent._replace(request=request))
    assert not is_accepted(sent, request, now=time.time())


@pytest.mark.parametrize("scheme", [STANDARD, SVIX], ids=lambda row: row.name)
@pytest.mark.parametrize(
    ("signature", "error"), [("v1", ValueError), ("v1,a", binascii.Error), ("v1,é", ValueError)], ids=str
)
def test_pinned_a_malformed_signature_raises_something_else(
    scheme: Scheme, signature: str, error: type[Exception]
) -> None:
    sent = send(scheme, body=b"{}", now=time.time())
    name = header_named(scheme.signature)
    request = with_header(sent.request, name, signature.encode("latin-1"))
    with pytest.raises(error):
        accepted_by_sdk(sent._replace(request=request))
    assert not is_accepted(sent, request, now=time.time())


@pytest.mark.parametrize("scheme", [STANDARD, SVIX, OPENAI], ids=lambda row: row.name)
def test_pinned_a_body_that_is_no_text_raises(scheme: Scheme) -> None:
    now = time.time()
    sent = send(scheme, body=b"\xff\xfe", now=now)
    assert is_accepted(sent, now=now)
    with pytest.raises(UnicodeDecodeError):
        accepted_by_sdk(sent)


def test_pinned_openai_takes_a_signature_without_its_label() -> None:
    sent = send(OPENAI, body=b"{}", now=time.time())
    bare = dict(sent.request.headers)[b"webhook-signature"].removeprefix(b"v1,")
    request = with_header(sent.request, b"webhook-signature", bare)
    accepted_by_sdk(sent._replace(request=request))
    assert not is_accepted(sent, request, now=time.time())


def test_pinned_openai_takes_a_signature_made_with_an_empty_secret() -> None:
    stamp = str(int(time.time()))
    mac = hmac.digest(b"", f"id.{stamp}.{{}}".encode(), hashlib.sha256)
    headers = {
        "webhook-id": "id",
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    CLIENT.webhooks.verify_signature("{}", headers, secret="")
    with pytest.raises(openai.InvalidWebhookSignatureError):
        CLIENT.webhooks.verify_signature("{ }", headers, secret="")


def test_pinned_openai_raises_on_a_signature_that_is_not_ascii() -> None:
    sent = send(OPENAI, body=b"{}", now=time.time())
    request = with_header(sent.request, b"webhook-signature", b"v1,\xe9")
    with pytest.raises(TypeError):
        accepted_by_sdk(sent._replace(request=request))
    assert not is_accepted(sent, request, now=time.time())


def test_pinned_openai_raises_on_a_missing_header() -> None:
    sent = send(OPENAI, body=b"{}", now=time.time())
    bare = [(name, value) for name, value in sent.request.headers if name != b"webhook-id"]
    with pytest.raises(ValueError, match="webhook-id"):
        CLIENT.webhooks.verify_signature(
            "{}", {name.decode(): value.decode() for name, value in bare}, secret=sent.pair.configured.decode()
        )


def test_pinned_openai_refuses_a_valid_secret_without_its_prefix() -> None:
    now = time.time()
    secret = base64.b64encode(b"x" * 32)
    sent = send(OPENAI, body=b"{}", now=now, pair=KeyPair(secret, secret))
    assert is_accepted(sent, now=now)
    assert parse_key(OPENAI, b"whsec_" + secret) == sent.key
    with pytest.raises(openai.InvalidWebhookSignatureError):
        accepted_by_sdk(sent)
