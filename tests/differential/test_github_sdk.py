"""gidgethub, the library that most Python bots for GitHub verify with."""

import hashlib
import hmac
import time

import jwt
import pytest
from gidgethub import ValidationFailure
from gidgethub.apps import get_jwt
from gidgethub.sansio import Event, validate_event

from eventroute.route_table import GithubApp
from eventroute.schemes import SCHEMES
from eventroute.secret import Secret
from eventroute_worker.sinks.github.app import build_jwt
from support.github import APP, app_key, app_pem
from support.providers import Sent, header_texts, is_accepted, random_texts, send, with_header, without_header

GITHUB = SCHEMES["github"]
HEADER = b"x-hub-signature-256"


def verify_by_sdk(sent: Sent, signature: bytes | None = None) -> None:
    """Raise unless the SDK accepts."""
    value = dict(sent.request.headers)[HEADER] if signature is None else signature
    validate_event(sent.request.body, signature=value.decode("latin-1"), secret=sent.pair.configured.decode())


def sha1_of(sent: Sent) -> bytes:
    return b"sha1=" + hmac.new(sent.pair.configured, sent.request.body, hashlib.sha1).hexdigest().encode()


def test_what_we_accept_the_sdk_accepts() -> None:
    for body in (*(text.encode() for text in random_texts(40)), b"\xff\xfe", b""):
        sent = send(GITHUB, body=body)
        assert is_accepted(sent)
        verify_by_sdk(sent)


def test_both_refuse_a_changed_signature() -> None:
    sent = send(GITHUB, body=b"{}")
    changed = dict(sent.request.headers)[HEADER][:-1] + b"x"
    with pytest.raises(ValidationFailure):
        verify_by_sdk(sent, changed)
    assert not is_accepted(sent, with_header(sent.request, HEADER, changed))


def test_pinned_sha1_is_accepted_in_the_place_of_sha256() -> None:
    sent = send(GITHUB, body=b"{}")
    verify_by_sdk(sent, sha1_of(sent))
    assert not is_accepted(sent, with_header(sent.request, HEADER, sha1_of(sent)))


def test_pinned_a_request_with_sha1_alone_is_accepted() -> None:
    sent = send(GITHUB, body=b"{}", event="push", headers=[(b"content-type", b"application/json")])
    weak = with_header(without_header(sent.request, HEADER), b"x-hub-signature", sha1_of(sent))
    event = Event.from_http(header_texts(weak), weak.body, secret=sent.pair.configured.decode())
    assert event.event == "push"
    assert not is_accepted(sent, weak)


def test_pinned_an_empty_secret_is_a_secret() -> None:
    signature = "sha256=" + hmac.new(b"", b"{}", hashlib.sha256).hexdigest()
    validate_event(b"{}", signature=signature, secret="")
    with pytest.raises(ValidationFailure):
        validate_event(b"{ }", signature=signature, secret="")


def test_pinned_without_secret_and_signature_anything_is_an_event() -> None:
    headers = {"content-type": "application/json", "x-github-event": "push", "x-github-delivery": "1"}
    assert Event.from_http(headers, b"{}").event == "push"


def test_pinned_a_signature_that_is_not_ascii_raises() -> None:
    sent = send(GITHUB, body=b"{}")
    with pytest.raises(TypeError):
        verify_by_sdk(sent, b"sha256=\xe9")
    assert not is_accepted(sent, with_header(sent.request, HEADER, b"sha256=\xe9"))


def test_an_apps_jwt_says_what_the_sdks_does() -> None:
    app = GithubApp(id=APP, installation=None, private_key=Secret(app_pem()))
    theirs = get_jwt(app_id=str(APP), private_key=app_pem().decode())
    read = [
        jwt.decode(token, app_key().public_key(), algorithms=["RS256"], issuer=str(APP))
        for token in (build_jwt(app, now=time.time()).decode(), theirs)
    ]
    assert [set(claims) for claims in read] == [{"iat", "exp", "iss"}] * 2
    assert read[0]["exp"] - read[0]["iat"] <= read[1]["exp"] - read[1]["iat"] == 600
    assert jwt.get_unverified_header(build_jwt(app, now=0)) == jwt.get_unverified_header(theirs)
