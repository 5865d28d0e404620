"""A client of the probe port of a receiver that runs in the test's own loop."""

from typing import Any, cast

import httpx

from support.receiving import Receiving


def probing(receiver: Receiving) -> httpx.AsyncClient:
    """Make the client; it is closed by its `async with` block."""
    transport = httpx.ASGITransport(app=cast("Any", receiver.receiver.probes))  # two typings of one protocol
    return httpx.AsyncClient(transport=transport, base_url="http://probes")
