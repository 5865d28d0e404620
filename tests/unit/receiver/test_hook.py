"""A table entry made ready: what serves, what cannot, and which URL is signed."""

from typing import Any

import msgspec
import pytest

from eventroute.errors import Refused
from eventroute.schemes import SCHEMES, Request, Scheme
from eventroute.secret import Secret
from eventroute_receiver.routes import prepare
from support.sample_routes import receiver_route


@pytest.mark.parametrize(
    "changes",
    [
        {"secrets": (Secret(b""),)},
        {"secrets": (Secret(b"  \n"),)},
        {"secrets": (Secret(b"a-secret-that-nobody-knows"), Secret(b""))},
        {"filter": "payload."},
        {"filter": "unheard_of.field == 1"},
    ],
)
def test_an_entry_that_cannot_serve_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        prepare(receiver_route(**changes))


def test_a_refusal_names_the_route_and_not_the_secret() -> None:
    with pytest.raises(Refused, match="team-a/triage") as refused:
        prepare(receiver_route("sendgrid", secrets=(Secret(b"whsec_c2VjcmV0LW9mLXNvbWVib2R5"),)))
    assert "c2VjcmV0" not in str(refused.value)


def test_routes_of_one_provider_share_what_is_known_of_it() -> None:
    first, second = (msgspec.json.decode(msgspec.json.encode(SCHEMES["github"]), type=Scheme) for _ in range(2))
    assert first is not second
    assert prepare(receiver_route(scheme=first)).route.scheme is prepare(receiver_route(scheme=second)).route.scheme


URL = "https://hooks.example.com/hooks/team-a/triage"


@pytest.mark.parametrize(
    ("public_url", "query", "signed"),
    [
        (None, b"", None),
        (None, b"a=1", None),
        (URL, b"", URL),
        (URL, b"b=2&a=1", f"{URL}?b=2&a=1"),
        (f"{URL}?fixed=1", b"a=1", f"{URL}?fixed=1"),
        (f"{URL}?fixed=1", b"", f"{URL}?fixed=1"),
        (URL, b"a=%2F&b=\xe9", f"{URL}?a=%2F&b=\u00e9"),
    ],
)
def test_the_signed_url_is_the_configured_one_with_the_query_as_sent(
    public_url: str | None, query: bytes, signed: str | None
) -> None:
    assert prepare(receiver_route("hubspot", public_url=public_url)).signed_url(query) == signed


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], None),
        ([(b"content-type", b"application/json; charset=utf-8")], None),
        ([(b"content-type", b"Application/JSON")], None),
        ([(b"content-type", b"application/vnd.github+json")], None),
        ([(b"content-encoding", b"identity")], None),
        ([(b"content-encoding", b" Identity ")], None),
        ([(b"content-type", b"multipart/form-data; boundary=x")], "media_type"),
        ([(b"content-type", b"text/xml")], "media_type"),
        ([(b"content-type", b"")], "media_type"),
        ([(b"content-encoding", b"gzip")], "encoding"),
        ([(b"content-encoding", b"identity, gzip")], "encoding"),
        ([(b"content-encoding", b"br")], "encoding"),
    ],
)
def test_only_json_and_declared_forms_unpacked_are_taken(
    headers: list[tuple[bytes, bytes]], reason: str | None
) -> None:
    request = Request(method="POST", url=None, headers=headers, body=b"")
    assert prepare(receiver_route()).unsupported(request) == reason


@pytest.mark.parametrize(
    ("signature", "dropped"),
    [("header:X-Deploy-Token", b"x-deploy-token"), ("header:authorization", b"proxy-authorization")],
)
def test_a_credential_is_never_kept_however_its_name_is_written(signature: str, dropped: bytes) -> None:
    scheme = Scheme(name="custom", kind="token", signature=signature)
    assert dropped in prepare(receiver_route(scheme=scheme)).dropped_headers
