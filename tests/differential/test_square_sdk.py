"""Square's own verifier."""

import pytest
from square.utils.webhooks_helper import verify_signature

from eventroute.schemes import SCHEMES, Unparsable, read
from support.providers import URL, Sent, header_texts, is_accepted, random_texts, send, with_header

SQUARE = SCHEMES["square"]
HEADER = "x-square-hmacsha256-signature"


def is_accepted_by_sdk(sent: Sent) -> bool:
    return verify_signature(
        request_body=sent.request.body.decode(),
        signature_header=header_texts(sent.request)[HEADER],
        signature_key=sent.pair.configured.decode(),
        notification_url=URL,
    )


def test_what_we_accept_the_sdk_accepts() -> None:
    for text in random_texts(40):
        sent = send(SQUARE, body=text.encode())
        assert is_accepted(sent)
        assert is_accepted_by_sdk(sent)


@pytest.mark.parametrize("bent", ["", " ", "é", "a", "=" * 44])
def test_both_refuse_a_bent_signature(bent: str) -> None:
    sent = send(SQUARE, body=b"{}")
    request = with_header(sent.request, HEADER.encode(), bent.encode("latin-1"))
    assert not is_accepted(sent, request)
    assert not is_accepted_by_sdk(sent._replace(request=request))


def test_an_empty_body_comes_to_nothing_in_either() -> None:
    sent = send(SQUARE, body=b"")
    assert not is_accepted_by_sdk(sent)
    assert read(SQUARE, sent.request) == Unparsable("not valid JSON")
