"""One signature, several readings: where neighbours in the signed text can lend bytes, a captured request runs once."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from eventroute.schemes import SCHEMES, Events, Mark, Request, Scheme, Verified, lending, parse_key, read, sign, verify

ROW = Scheme(name="custom", signature="header:x-signature", id=("header:x-id",))
SECRET = b"5b1f0c8de2a94e7fb0a3"


@pytest.mark.parametrize(
    ("signed", "found"),
    [
        (("body",), None),
        (("method", "url", "body", "timestamp"), None),
        (("timestamp", "body"), None),
        (("header:x-id", "text:.", "timestamp", "text:.", "body"), None),
        (("header:x-id", "text:\n", "header:x-nonce", "text:\n", "body"), None),
        (("header:x-id", "header:x-nonce", "body"), ("header:x-id", "header:x-nonce")),
        (("header:x-id", "text:.", "header:x-nonce?", "text:.", "body"), ("header:x-id", "header:x-nonce")),
        (("body:a", "text:\n", "body:b"), ("body:a", "body:b")),
        (("header:x-id", "timestamp", "text:.", "body"), ("header:x-id", "timestamp")),
        (("header:x-nonce", "body"), ("header:x-nonce", "body")),
    ],
)
def test_neighbours_that_can_lend_are_found(signed: tuple[str, ...], found: tuple[str, str] | None) -> None:
    assert lending(replace(ROW, signed=signed, timestamp="header:x-time", tolerance_s=300)) == found


def test_of_the_built_in_rows_these_have_such_neighbours() -> None:
    found = {name for name, row in SCHEMES.items() if lending(row)}
    assert found == {"adyen", "aws-sns", "aws-sns-sha1", "mailgun", "twilio", "twilio-sha256"}


def _marks(scheme: Scheme, request: Request, secret: bytes) -> set[Mark]:
    assert isinstance(verify(scheme, request, [parse_key(scheme, secret)], None), Verified)
    events = read(scheme, request)
    assert isinstance(events, Events)
    return set(events.items[0].marks)


def _with(request: Request, **headers: str) -> Request:
    changed = {f"x-{name}".encode(): value.encode() for name, value in headers.items()}
    kept = [(name, value) for name, value in request.headers if name not in changed]
    return Request(method=request.method, url=request.url, headers=[*kept, *changed.items()], body=request.body)


def test_a_header_that_takes_bytes_of_the_next_one_makes_no_second_delivery() -> None:
    scheme = replace(ROW, signed=("header:x-id", "header:x-nonce", "body"))
    bare = Request(method="POST", url=None, headers=[(b"content-type", b"application/json")], body=b"{}")
    request = sign(scheme, _with(bare, id="12", nonce="34"), secret=SECRET, now=0)
    first = _marks(scheme, request, SECRET)
    for split in range(1, 4):
        again = _with(request, id="1234"[:split], nonce="1234"[split:])
        assert first & _marks(scheme, again, SECRET)


def _adyen(**changes: Any) -> bytes:
    item = {
        "pspReference": "P1",
        "originalReference": "O1",
        "merchantAccountCode": "Shop",
        "merchantReference": "order:1:2",
        "amount": {"value": 5, "currency": "EUR"},
        "eventCode": "REFUND",
        "success": "true",
        "additionalData": {},
    }
    return msgspec.json.encode({"notificationItems": [{"NotificationRequestItem": {**item, **changes}}]})


def test_a_reference_with_the_separator_makes_no_second_delivery_of_adyens() -> None:
    scheme, key = SCHEMES["adyen"], b"44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
    bare = Request(method="POST", url=None, headers=[(b"content-type", b"application/json")], body=_adyen())
    request = sign(scheme, bare, secret=key, now=0)
    signature = msgspec.json.decode(request.body)["notificationItems"][0]["NotificationRequestItem"]["additionalData"]
    moved = {"pspReference": "P1:O1", "originalReference": "Shop", "merchantAccountCode": "order"}
    other = _adyen(**moved, merchantReference="1:2", additionalData=signature)
    again = Request(method="POST", url=None, headers=request.headers, body=other)
    first, second = _marks(scheme, request, key), _marks(scheme, again, key)
    assert {mark.value for mark in first if mark.kind == "id"} != {mark.value for mark in second if mark.kind == "id"}
    assert first & second
