"""Reading a request's head: capped and against the clock, both of which uvicorn leaves to a proxy in front.

What never becomes a request is counted here too, and not logged: anybody can send it, as often as they like.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eventroute.outcome import Receipt
from eventroute_receiver import metrics

MAX_HEAD_BYTES: Final = 131_072
"""Twice what the usual proxies let through. A head that arrives in one piece may pass with a little more."""

_CLOSING: Final = b"content-length: 0\r\nconnection: close\r\n\r\n"


class HeadLimits(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *, deadline_s: float, **uvicorns: Any) -> None:
        """Take how long a head may take, and what uvicorn gives its protocols."""
        super().__init__(**uvicorns)
        self._deadline_s = deadline_s
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._complete: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Give a new connection its time for the first head."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self._deadline_s, self._refuse, 408, Receipt.TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """The head is complete, within the same piece as it began for nearly every request."""
        self._complete = self.scope  # of which each request has one of its own, from its first byte on
        self._head_bytes = 0
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take the next piece, of a head or of anything else."""
        super().data_received(data)
        if self._complete is not None and self.scope is self._complete:
            self._stop_clock()
        elif not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, Receipt.TOO_LARGE)
            elif self._deadline is None:
                self._deadline = self.loop.call_later(self._deadline_s, self._refuse, 408, Receipt.TIMEOUT)

    def send_400_response(self, msg: str) -> None:
        """Count what is not HTTP."""
        metrics.RECEIPTS.counts["", Receipt.UNSUPPORTED, "malformed"] += 1
        super().send_400_response(msg)

    def _refuse(self, status: int, outcome: Receipt) -> None:
        if self._head_bytes:  # a connection that says nothing is no request
            metrics.RECEIPTS.counts["", outcome, "head"] += 1
            self.transport.write(b"HTTP/1.1 %d \r\n" % status + _CLOSING)
        self.transport.close()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
