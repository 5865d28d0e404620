"""Where a provider signs its URL, the configured one counts: nothing that a request says of itself changes it."""

import pytest

from eventroute.schemes import Request
from support.raw_http import TARGET, exchange, whole
from support.receiver_process import OnTheWire
from support.receiving import signed
from support.sample_routes import receiver_route

URL = "https://hooks.example.com/hooks/team-a/triage"
EVENT = {"eventId": 1, "portalId": 1, "subscriptionId": 7, "occurredAt": 1, "subscriptionType": "contact.creation"}


def from_hubspot(url: str = URL) -> Request:
    return signed("hubspot", [EVENT], url=url)


@pytest.fixture
async def served(wire: OnTheWire) -> OnTheWire:
    await wire.serve(receiver_route("hubspot", public_url=URL))
    return wire


FORWARDED = [
    ("x-forwarded-host", "evil.example.com"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-port", "8443"),
    ("x-forwarded-prefix", "/other"),
    ("forwarded", "for=10.0.0.1;host=evil.example.com;proto=http"),
    ("x-original-url", "/hooks/team-b/other"),
    ("x-http-method-override", "PUT"),
]


@pytest.mark.parametrize("header", FORWARDED, ids=lambda header: header[0])
async def test_a_proxys_headers_do_not_disturb_a_genuine_request(served: OnTheWire, header: tuple[str, str]) -> None:
    assert (await exchange(served.port, whole(from_hubspot(), header))).status == 200


@pytest.mark.parametrize("host", ["evil.example.com", "hooks.example.com:8443", "HOOKS.EXAMPLE.COM", "127.0.0.1"])
async def test_the_host_header_does_not_matter(served: OnTheWire, host: str) -> None:
    request = whole(from_hubspot()).replace(b"host: hooks.example.com", f"host: {host}".encode())
    assert (await exchange(served.port, request)).status == 200


@pytest.mark.parametrize("header", FORWARDED, ids=lambda header: header[0])
async def test_a_signature_for_another_url_is_refused_whatever_the_headers_claim(
    served: OnTheWire, header: tuple[str, str]
) -> None:
    forged = from_hubspot("http://evil.example.com/hooks/team-a/triage")
    for more in ((), (header,)):
        assert (await exchange(served.port, whole(forged, *more))).status == 401
    assert await served.queued() == []


async def test_the_query_is_signed_in_the_order_in_which_it_was_sent(served: OnTheWire) -> None:
    request = from_hubspot(f"{URL}?a=1&b=2")
    for query, status in (("b=2&a=1", 401), ("a=1&b=2&c=3", 401), ("", 401), ("a=1&b=2", 200)):
        assert (await exchange(served.port, whole(request, target=f"{TARGET}?{query}"))).status == status
