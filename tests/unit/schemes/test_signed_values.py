"""Rows that sign some values of the body, not the body: those values cannot be changed, and there is one of each."""

import msgspec
import pytest

from eventroute.outcome import Refusal
from eventroute.schemes import SCHEMES, Rejected, Verified, verify
from support.providers import NOW, Sent, changed, is_accepted, send

ADYEN = SCHEMES["adyen"]
MAILGUN = SCHEMES["mailgun"]
PAYMENT = {
    "pspReference": "7914073381342284",
    "merchantAccountCode": "NorthwindShop",
    "merchantReference": "order-1",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
    "additionalData": {"hmacSignature": ""},
}


def adyen() -> Sent:
    body = {"notificationItems": [{"NotificationRequestItem": PAYMENT}]}
    return send(ADYEN, body=msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"true"', b'"false"'),
        (b"1130", b"9130"),
        (b"EUR", b"JPY"),
        (b"AUTHORISATION", b"REFUND"),
        (b"order-1", b"order-2"),
        (b"7914073381342284", b"7914073381342285"),
        (b'"pspReference"', b'"originalReference":"1","pspReference"'),
    ],
)
def test_a_changed_value_of_adyen_is_refused(old: bytes, new: bytes) -> None:
    sent = adyen()
    assert is_accepted(sent)
    forged = changed(sent.request, body=sent.request.body.replace(old, new))
    assert forged.body != sent.request.body
    assert verify(ADYEN, forged, [sent.key], NOW) == Rejected(Refusal.MISMATCH)


def test_a_second_item_beside_a_signed_one_is_refused() -> None:
    sent = adyen()
    document = msgspec.json.decode(sent.request.body)
    document["notificationItems"] *= 2
    doubled = changed(sent.request, body=msgspec.json.encode(document))
    assert verify(ADYEN, doubled, [sent.key], NOW) == Rejected(Refusal.BODY_UNPARSEABLE)


def test_digits_cannot_move_between_mailguns_timestamp_and_token() -> None:
    """Both are signed side by side; only the tolerance keeps a shifted pair, and so a new token, out."""
    sent = send(MAILGUN, body=b'{"signature":{"timestamp":"0","token":"7abc","signature":""},"event-data":{}}')
    assert is_accepted(sent)
    for timestamp, token in (("17000000007", "abc"), ("170000000", "07abc")):
        document = msgspec.json.decode(sent.request.body)
        document["signature"] |= {"timestamp": timestamp, "token": token}
        shifted = changed(sent.request, body=msgspec.json.encode(document))
        assert isinstance(verify(MAILGUN, shifted, [sent.key], None), Verified)
        assert isinstance(verify(MAILGUN, shifted, [sent.key], NOW), Rejected)
