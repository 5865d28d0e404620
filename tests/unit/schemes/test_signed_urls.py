"""Rows that sign the URL verify against the configured one, spelled as the provider spells it, and against no other."""

import base64
import hashlib
import hmac
from urllib.parse import parse_qsl, urlsplit

import pytest

from eventroute.outcome import Refusal
from eventroute.schemes import SCHEMES, Rejected, Request, Scheme, Verified, needs_public_url, verify
from eventroute.schemes.message import url_spellings
from support.providers import NOW, ROWS, URL, changed, send, with_header

URL_ROWS = tuple(row for row in ROWS if needs_public_url(row))
url_rows = pytest.mark.parametrize("scheme", URL_ROWS, ids=lambda row: row.name)
FORM = (b"content-type", b"application/x-www-form-urlencoded")


@url_rows
@pytest.mark.parametrize(
    "other",
    [
        URL + "/",
        URL + "?a=1",
        URL.replace("https", "http"),
        URL.replace("example", "EXAMPLE"),
        URL.replace("hooks/team-a", "hooks//team-a"),
        URL.replace("team-a", "team%2da"),
        URL.replace("/triage", "/other"),
        "https://evil.example/hooks/team-a/triage",
        "",
    ],
)
def test_another_url_is_refused(scheme: Scheme, other: str) -> None:
    sent = send(scheme)
    query = "?" + sent.request.url.partition("?")[2] if sent.request.url and "?" in sent.request.url else ""
    elsewhere = Request(method="POST", url=other + query, headers=sent.request.headers, body=sent.request.body)
    assert isinstance(verify(scheme, elsewhere, [sent.key], NOW), Rejected)


@url_rows
def test_a_route_without_its_url_verifies_nothing(scheme: Scheme) -> None:
    sent = send(scheme)
    nowhere = Request(method="POST", url=None, headers=sent.request.headers, body=sent.request.body)
    assert verify(scheme, nowhere, [sent.key], NOW) == Rejected(Refusal.MISMATCH)


@url_rows
def test_forwarded_headers_decide_nothing(scheme: Scheme) -> None:
    sent = send(scheme)
    for name in (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-for", b"forwarded"):
        spoofed = with_header(sent.request, name, b"evil.example")
        assert isinstance(verify(scheme, spoofed, [sent.key], NOW), Verified)
    stolen = send(scheme, url="https://evil.example/hooks/team-a/triage", pair=sent.pair)
    spoofed = with_header(changed(stolen.request, url=URL), b"x-forwarded-host", b"evil.example")
    assert isinstance(verify(scheme, spoofed, [sent.key], NOW), Rejected)


def test_a_reordered_query_is_another_url() -> None:
    scheme = SCHEMES["square"]
    sent = send(scheme, url=URL + "?a=1&b=2")
    assert isinstance(verify(scheme, changed(sent.request, url=URL + "?b=2&a=1"), [sent.key], NOW), Rejected)


def test_the_method_is_signed_where_the_row_says_so() -> None:
    sent = send(SCHEMES["hubspot"])
    assert isinstance(verify(SCHEMES["hubspot"], changed(sent.request, method="PUT"), [sent.key], NOW), Rejected)


def test_hubspot_decodes_its_own_list_of_escapes_and_no_other() -> None:
    escaped = "https://h.example/x?a=%3A%2f%3F%40%21%24%27%28%29%2A%2C%3B&b=%20%26%3D%25%2B%23%C3%A9"
    assert url_spellings(SCHEMES["hubspot"], escaped) == (
        "https://h.example/x?a=:/?@!$'()*,;&b=%20%26%3D%25%2B%23%C3%A9",
    )
    assert url_spellings(SCHEMES["hubspot-v2"], escaped) == (escaped,)


@pytest.mark.parametrize(
    ("url", "spellings"),
    [
        ("https://h.example/x", {"https://h.example/x", "https://h.example:443/x"}),
        ("http://h.example/x?a=1", {"http://h.example/x?a=1", "http://h.example:80/x?a=1"}),
        ("https://h.example:8443/x", {"https://h.example/x", "https://h.example:8443/x"}),
        ("https://h.example", {"https://h.example", "https://h.example:443"}),
        ("https://[::1]:8443/x", {"https://[::1]/x", "https://[::1]:8443/x"}),
        ("https://[::1]/x", {"https://[::1]/x", "https://[::1]:443/x"}),
        ("https://h.example:port/x", {"https://h.example:port/x", "https://h.example:port:443/x"}),
        ("ftp://h.example/x", {"ftp://h.example/x"}),
        ("", {""}),
    ],
)
def test_twilio_may_have_signed_the_url_with_or_without_its_port(url: str, spellings: set[str]) -> None:
    assert set(url_spellings(SCHEMES["twilio"], url)) == spellings


def test_a_twilio_form_is_signed_by_its_fields_not_its_bytes() -> None:
    scheme = SCHEMES["twilio"]
    sent = send(scheme, body=b"To=%2B1&From=%2b2&Body=a+b", headers=[FORM])
    turned = changed(sent.request, body=b"Body=a%20b&From=%2B2&To=%2B1&To=%2B1")
    assert isinstance(verify(scheme, turned, [sent.key], NOW), Verified)
    for body in (b"To=%2B1&From=%2B2&Body=a+c", b"To=%2B1&From=%2B2", b"To=%2B1&From=%2B2&Body=a+b&X=1", b""):
        assert isinstance(verify(scheme, changed(sent.request, body=body), [sent.key], NOW), Rejected)
    assert verify(scheme, changed(sent.request, body=b"a=\xff"), [sent.key], NOW) == Rejected(Refusal.BODY_UNPARSEABLE)


def test_twilio_json_stands_and_falls_with_the_hash_in_its_url() -> None:
    scheme = SCHEMES["twilio"]
    body = b'[{"type":"com.twilio.message.sent","id":"E1"}]'
    sent = send(scheme, body=body)
    assert sent.request.url is not None
    assert dict(parse_qsl(urlsplit(sent.request.url).query)) == {"bodySHA256": hashlib.sha256(body).hexdigest()}

    def signed_for(url: str) -> Request:
        mac = base64.b64encode(hmac.digest(sent.pair.configured, url.encode(), "sha1"))
        headers = [(b"x-twilio-signature", mac)]
        return Request(method="POST", url=url, headers=headers, body=body)

    good = hashlib.sha256(body).hexdigest()
    assert isinstance(verify(scheme, signed_for(f"{URL}?bodySHA256={good}"), [sent.key], NOW), Verified)
    for query in ("", "?bodySHA256=", f"?bodySHA256={good.upper()}", f"?bodySHA256={'0' * 64}", "?bodySHA256=%FF"):
        assert isinstance(verify(scheme, signed_for(URL + query), [sent.key], NOW), Rejected)
    twice = f"{URL}?bodySHA256={good}&bodySHA256={good}"
    assert isinstance(verify(scheme, signed_for(twice), [sent.key], NOW), Rejected)


def test_the_content_type_cannot_swap_twilios_variant() -> None:
    """A JSON body under a form's name has no fields that were signed, and a form under JSON's name has no hash."""
    scheme = SCHEMES["twilio"]
    json_sent = send(scheme, body=b'{"type":"a"}')
    form_sent = send(scheme, body=b"A=1", headers=[FORM])
    assert isinstance(verify(scheme, with_header(json_sent.request, *FORM), [json_sent.key], NOW), Rejected)
    as_json = with_header(form_sent.request, b"content-type", b"application/json")
    assert isinstance(verify(scheme, as_json, [form_sent.key], NOW), Rejected)


def test_the_signature_of_a_json_request_does_not_fit_an_empty_form() -> None:
    scheme = SCHEMES["twilio"]
    sent = send(scheme, body=b'{"type":"a"}')
    for body in (b"", b"&", b"&&&"):
        emptied = changed(with_header(sent.request, *FORM), body=body)
        assert verify(scheme, emptied, [sent.key], NOW) == Rejected(Refusal.MISMATCH)
