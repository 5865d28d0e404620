"""The edge to providers: small documents at their public addresses, over HTTP, and nothing else of the internet.

Which addresses are a provider's is decided before (`eventroute.schemes`). No redirect is followed, since it would lead
somewhere else.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import httpx

from eventroute.errors import RetryLater

MAX_BYTES: Final = 65_536
"""Arbitrary: a certificate has some 2 kB, Google's key set 3."""
DEADLINE_S: Final = 5.0
"""For all of it. Arbitrary."""

_ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
"""Not 403, which a proxy says of what it lets nobody see."""
_MAX_AGE: Final = re.compile(r"max-age=([0-9]{1,9})")


class Document(NamedTuple):
    """What stood at an address."""

    body: bytes
    fresh_s: float | None
    """How long it is good for, as its server says; None = it does not say."""


Fetch = Callable[[str], Coroutine[Any, Any, Document | None]]
"""Gets a document; None = there is none at this address. Raises `RetryLater` when nobody can tell."""


class Fetcher:
    """Gets documents, with one client that is made when it is first needed."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, url: str) -> Document | None:
        """Get a document, as `Fetch` says."""
        if self._client is None:
            headers = {"user-agent": "EventRoute", "accept-encoding": "identity"}  # what is packed may be any size
            self._client = httpx.AsyncClient(timeout=DEADLINE_S, headers=headers)
        try:
            async with asyncio.timeout(DEADLINE_S), self._client.stream("GET", url) as response:
                return await _read(response)
        except TimeoutError as error:
            raise RetryLater(f"no answer within {DEADLINE_S:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RetryLater(str(error) or type(error).__name__) from error

    async def aclose(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            await self._client.aclose()


async def _read(response: httpx.Response) -> Document | None:
    if response.status_code in _ABSENT:
        return None
    if response.status_code != HTTPStatus.OK:
        raise RetryLater(f"answered {response.status_code}")
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BYTES:
            raise RetryLater(f"answered more than {MAX_BYTES} bytes")
    return Document(bytes(body), _fresh_s(response.headers))


def _fresh_s(headers: httpx.Headers) -> float | None:
    found = _MAX_AGE.search(headers.get("cache-control", ""))
    age = headers.get("age", "0")
    return float(found[1]) - (float(age) if age.isascii() and age.isdigit() else 0.0) if found else None
