"""A route that takes answers of other routes takes nothing from outside, whoever asks and however."""

import pytest

from eventroute.schemes import INSIDE, Rejected, Request, verify
from support.receiving import Receiving, opened
from support.sample_routes import receiver_route


async def test_no_request_gets_in(receiver: Receiving) -> None:
    inside = receiver_route(name="escalate", scheme=INSIDE, secrets=(), secret_names=())
    await receiver.serve(receiver_route(), inside)
    assert (await receiver.post(opened(), name="escalate")).status_code == 404
    assert await receiver.queued() == []
    assert (await receiver.post(opened())).status_code == 200


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer x")]])
def test_nothing_would_be_genuine(headers: list[tuple[bytes, bytes]]) -> None:
    request = Request(method="POST", url=None, headers=headers, body=b"{}")
    assert isinstance(verify(INSIDE, request, [], None), Rejected)
