"""One connection: heads are capped and read against the clock, and it is closed when nothing goes on in it.

uvicorn leaves that to a proxy in front. A connection is always in one of these phases, each of which ends by itself:

    a head        in time (`deadline_s`) and within `MAX_HEAD_BYTES`, or 408 and 431
    a body        read by the application, against its own clock; what is not body (sizes of chunks and what is written
                  with them, trailers) is dropped, and bounded by `MAX_FRAMING_BYTES` and the length of the body
    an answer     the application's
    the rest of a body after an early answer   for `LINGER_S`: to close on unread data would take the answer with it
    nothing       for `idle_s`; line breaks between two requests are nothing

What never becomes a request is counted here too, and not logged: anybody can send it, as often as they like.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from eventroute.outcome import Receipt, Unavailable
from eventroute_receiver import metrics
from eventroute_receiver.answer import RETRY_AFTER_S
from eventroute_receiver.body import LINGER_S

MAX_HEAD_BYTES: Final = 131_072
"""Twice what the usual proxies let through. A head that arrives in one piece may pass with a little more."""
MAX_FRAMING_BYTES: Final = 65_536
"""Beside a body. Arbitrary."""
_FRAMING_PER_BYTE: Final = 8  # a chunk of one byte takes five; arbitrary beyond that
_CLOSING: Final = b"content-length: 0\r\nconnection: close\r\n\r\n"
_NO_ROOM: Final = b"HTTP/1.1 503 \r\nretry-after: %d\r\n" % RETRY_AFTER_S + _CLOSING


class _Nowhere(list[tuple[bytes, bytes]]):
    """Headers that nobody will look at."""

    def append(self, _header: object) -> None:
        """Forget it."""


_NOWHERE: Final = _Nowhere()


class Connection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *, deadline_s: float, max_connections: int, **uvicorns: Any) -> None:
        """Take how long a head may take, how many connections there may be, and what uvicorn gives its protocols."""
        super().__init__(**uvicorns)
        self._deadline_s = deadline_s
        self._max_connections = max_connections
        self._clock: asyncio.TimerHandle | None = None
        self._is_in_message = self._has_head = False
        self._head_bytes = self._body_bytes = self._bytes_after_head = 0
        self._answering: RequestResponseCycle | None = None
        """The request that the application works on; uvicorn's `cycle` is the one read last."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Give a new connection its time for the first head; above the limit, it is told to come back."""
        super().connection_made(transport)
        if len(self.connections) > self._max_connections:
            metrics.RECEIPTS.counts["", Receipt.UNAVAILABLE, Unavailable.CONNECTIONS] += 1
            transport.write(_NO_ROOM)
            transport.close()
        else:
            self._set_clock(self._deadline_s, self._refuse, 408, Receipt.TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks, and let the request that is being worked on end without an answer."""
        self._stop_clock()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True  # uvicorn tells the request that was read last
            self._answering.message_event.set()
        super().connection_lost(exc)
        super()._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Take the next piece, of a message or of nothing."""
        was_after_head = self._has_head
        super().data_received(data)
        if not self._is_in_message or self.transport.is_closing():
            return
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, Receipt.TOO_LARGE)
            elif self._clock is None:
                self._set_clock(self._deadline_s, self._refuse, 408, Receipt.TIMEOUT)
        elif was_after_head:
            self._bytes_after_head += len(data)
            if self._bytes_after_head - self._body_bytes > MAX_FRAMING_BYTES + _FRAMING_PER_BYTE * self._body_bytes:
                self.transport.close()  # the application hears that the sender is gone

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super()._unset_keepalive_if_required()
        self._is_in_message, self._has_head = True, False
        self._body_bytes = self._bytes_after_head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete, within the same piece as it began for nearly every request."""
        self._stop_clock()
        self._has_head = True
        self._head_bytes = 0
        super().on_headers_complete()
        self.headers = _NOWHERE  # what comes now is a trailer

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The message is complete, at the latest with its answer or soon after."""
        self._is_in_message = self._has_head = False
        super().on_message_complete()
        if self._clock is not None and self.cycle.response_complete:
            self._stop_clock()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Wait for the next request, or what is left of this one."""
        super().on_response_complete()
        is_early = self._is_in_message and self._has_head and self.cycle.response_complete
        if is_early and not self.transport.is_closing():
            super()._unset_keepalive_if_required()
            self._set_clock(LINGER_S, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Count what is not HTTP."""
        metrics.RECEIPTS.counts["", Receipt.UNSUPPORTED, "malformed"] += 1
        super().send_400_response(msg)

    def _unset_keepalive_if_required(self) -> None:
        """Let the time of an idle connection run on, whatever comes, until a message begins."""

    def _refuse(self, status: int, outcome: Receipt) -> None:
        if self._head_bytes:  # a connection that says nothing is no request
            metrics.RECEIPTS.counts["", outcome, "head"] += 1
            self.transport.write(b"HTTP/1.1 %d \r\n" % status + _CLOSING)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin with a request: at once, or when those before it are answered."""
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _set_clock(self, after_s: float, call: Any, *arguments: Any) -> None:
        self._clock = self.loop.call_later(after_s, call, *arguments)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
