"""Properties: nothing raises on any input, and no changed body, timestamp, key or signature is ever accepted."""

from urllib.parse import urlencode

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from eventroute.schemes import (
    Events,
    Handshake,
    Rejected,
    Request,
    Scheme,
    Unparsable,
    Verified,
    parse_key,
    preflight,
    read,
    verify,
)
from eventroute.schemes.source import alternatives
from support.providers import (
    NOW,
    ROWS,
    SECRET_ROWS,
    SIGNING_ROWS,
    Sent,
    changed,
    header_named,
    send,
    signature_header,
    with_header,
)

# Few examples per row and run: there are many rows, and many runs. No check of speed: machines are busy.
quick = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
every_row = pytest.mark.parametrize("scheme", ROWS, ids=lambda row: row.name)
every_signing_row = pytest.mark.parametrize("scheme", SIGNING_ROWS, ids=lambda row: row.name)

SENT = {row.name: send(row) for row in ROWS if row.kind != "none"}

header_values = st.binary(max_size=80) | st.sampled_from(
    [b"v1=", b"v1,", b"t=1,v1=" + b"0" * 64, b"sha256=" + b"0" * 64, b"Bearer x", b"Basic eDp5", b"1700000000"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
queries = st.lists(
    st.tuples(
        st.sampled_from(["crc_token", "hub.mode", "hub.verify_token", "hub.challenge", "challenge", "validationToken"]),
        st.text(max_size=8) | st.just("subscribe"),
    ),
    max_size=4,
).map(urlencode)
bodies = st.binary(max_size=200) | json_values.map(msgspec.json.encode)


def names_of(scheme: Scheme) -> list[bytes]:
    """The header names that a row looks at, and one that it does not."""
    texts = [scheme.signature, scheme.timestamp, *scheme.signed, *scheme.event, *scheme.id]
    sources = [
        source for text in texts if ":" in text and not text.startswith("text:") for source in alternatives(text)
    ]
    return [source.name.encode() for source in sources if source.place == "header"] + [b"content-type", b"x"]


@every_row
@quick
@given(data=st.data())
def test_nothing_raises_on_any_request(scheme: Scheme, data: st.DataObject) -> None:
    headers = st.lists(st.tuples(st.sampled_from(names_of(scheme)) | st.binary(max_size=8), header_values), max_size=6)
    media = st.sampled_from([b"application/json", b"application/x-www-form-urlencoded", b"text/plain", b"\xff"])
    request = Request(
        method=data.draw(st.sampled_from(["POST", "OPTIONS", "HEAD"]) | st.text(max_size=5)),
        url=data.draw(st.none() | st.text(max_size=60) | st.just("https://h.example:99999/?bodySHA256=\ud800")),
        headers=[*data.draw(headers), (b"content-type", data.draw(media))],
        body=data.draw(bodies),
        query=data.draw(st.text(max_size=60) | queries),
    )
    keys = [SENT[scheme.name].key] if scheme.name in SENT else []
    now = data.draw(st.floats() | st.none())
    assert isinstance(verify(scheme, request, keys, now), Verified if scheme.kind == "none" else Rejected)
    assert isinstance(read(scheme, request), Events | Handshake | Unparsable)
    assert isinstance(
        preflight(scheme, request, keys, token=data.draw(st.binary(max_size=5))), Handshake | Rejected | None
    )


@every_row
@quick
@given(body=bodies, event=st.text(max_size=5))
def test_every_body_of_a_good_signature_is_read_or_unparsable(scheme: Scheme, body: bytes, event: str) -> None:
    headers = [(name, event.encode("utf-8", "replace")) for name in names_of(scheme)[:-2]]
    assert isinstance(
        read(scheme, Request(method="POST", url=None, headers=headers, body=body)), Events | Handshake | Unparsable
    )


def flipped(value: bytes, data: st.DataObject) -> bytes:
    """Change one byte to any other."""
    at = data.draw(st.integers(0, len(value) - 1))
    return value[:at] + bytes([value[at] ^ data.draw(st.integers(1, 255))]) + value[at + 1 :]


def accepts(sent: Sent, request: Request) -> bool:
    return isinstance(verify(sent.scheme, request, [sent.key], NOW), Verified)


@pytest.mark.parametrize("scheme", [row for row in SIGNING_ROWS if row.covers_body], ids=lambda row: row.name)
@quick
@given(data=st.data())
def test_a_changed_body_is_never_accepted(scheme: Scheme, data: st.DataObject) -> None:
    sent = SENT[scheme.name]
    body = sent.request.body
    assert not accepts(sent, changed(sent.request, body=flipped(body, data)))
    assert not accepts(sent, changed(sent.request, body=body + data.draw(st.binary(min_size=1, max_size=20))))
    assert not accepts(sent, changed(sent.request, body=body[: data.draw(st.integers(0, len(body) - 1))]))


@pytest.mark.parametrize("scheme", [row for row in SECRET_ROWS if signature_header(row)], ids=lambda row: row.name)
@quick
@given(data=st.data())
def test_a_changed_signature_is_never_accepted(scheme: Scheme, data: st.DataObject) -> None:
    sent = SENT[scheme.name]
    header = signature_header(scheme)
    good = dict(sent.request.headers)[header]
    bent = flipped(good, data)
    # The name of an authentication scheme has no case: in other letters it is the same credential.
    same_secret = bent[len(scheme.prefix) :] == good[len(scheme.prefix) :]
    same = scheme.kind in {"token", "basic"} and same_secret and bent.lower() == good.lower()
    assert accepts(sent, with_header(sent.request, header, bent)) == same


@every_signing_row
@quick
@given(data=st.data())
def test_a_changed_timestamp_or_id_is_never_accepted(scheme: Scheme, data: st.DataObject) -> None:
    sent = SENT[scheme.name]
    signed = [header_named(part) for part in scheme.signed if part.startswith("header:")]
    if "timestamp" in scheme.signed and scheme.timestamp.startswith("header:"):
        signed.append(header_named(scheme.timestamp))
    for name in signed:
        good = dict(sent.request.headers)[name]
        assert not accepts(sent, with_header(sent.request, name, flipped(good, data)))


@every_signing_row
@quick
@given(data=st.data())
def test_a_changed_key_never_fits(scheme: Scheme, data: st.DataObject) -> None:
    sent = SENT[scheme.name]
    if scheme.kind not in {"hmac", "hash"} or scheme.key != "utf8":
        return  # of a public or encoded key, most changes are no key at all; that table stands in test_secrets
    other = flipped(sent.pair.configured, data)
    if other.strip():
        assert not isinstance(verify(scheme, sent.request, [parse_key(scheme, other)], NOW), Verified)


@pytest.mark.parametrize("scheme", [row for row in SIGNING_ROWS if "url" in row.signed], ids=lambda row: row.name)
@quick
@given(data=st.data())
def test_a_changed_url_is_never_accepted(scheme: Scheme, data: st.DataObject) -> None:
    sent = SENT[scheme.name]
    assert sent.request.url is not None
    at = data.draw(st.integers(0, len(sent.request.url) - 1))
    letter = data.draw(st.characters(codec="ascii", exclude_characters=sent.request.url[at]))
    other = sent.request.url[:at] + letter + sent.request.url[at + 1 :]
    assert not accepts(sent, changed(sent.request, url=other))
