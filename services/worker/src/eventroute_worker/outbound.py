"""Requests to the outside: the one way by which sinks and tools reach anything, under the owner's `OutboundRules`.

read the URL ──▶ look its name up, once ──▶ judge every address ──▶ connect to one of them ──▶ ask ──▶ read up to a cap

What is connected to is the address that was judged, not the name, so that a name that leads elsewhere a moment later
changes nothing; the name is what the certificate is checked for, and what `Host` says. The HTTP library is handed
addresses alone, and cannot look anything up. Redirects are answers, never followed. A kept connection is for the same
name at the same address and port. No proxy, password or cookie of the surroundings is used, and nothing is sent twice.

Through a proxy of the rules, the proxy looks names up: URL, hosts and ports are judged here as always, certificates of
https are checked here, and addresses are the proxy's business. What is listed as private is connected to directly.
"""

import asyncio
import io
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Final, Literal, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from eventroute.errors import RetryLater
from eventroute.outbound import (
    Blocked,
    Database,
    Endpoint,
    OutboundRules,
    Rule,
    Target,
    check_address,
    check_database,
    read_endpoint,
    read_url,
)
from eventroute_worker import metrics
from eventroute_worker.resolve import Resolve, SystemResolver

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

_CONNECTIONS: Final = 100  # of all targets together; arbitrary
_CONNECTIONS_EACH: Final = 16  # so that one that hangs leaves room for others; arbitrary
_KEEP_S: Final = 15.0  # servers keep idle connections for longer, mostly for a minute
_UNREAD_MS: Final = 30_000  # what nobody reads keeps a closed connection's socket no longer; arbitrary
_MOST_ADDRESSES: Final = 4  # that are tried, of those that a name has; arbitrary
_LOOK_UP_S: Final = 10.0  # without HTTP around it; as long as the system asks two silent name servers

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_OURS: Final = frozenset(
    {
        *("host", "connection", "keep-alive", "upgrade", "te", "expect"),
        *("content-length", "transfer-encoding", "accept-encoding", "proxy-authorization", "proxy-connection"),
    }
)
"""Headers by which a request could become another one than was judged."""


class Missing(StrEnum):
    """Why the rest of an answer's body is not there."""

    TOO_LONG = "too_long"
    TOO_SLOW = "too_slow"
    BROKEN = "broken"
    """The connection was cut."""
    ENCODED = "encoded"
    """It is compressed, although we asked for it as it is; nothing of it was read."""


@dataclass(frozen=True)
class Request:
    """What to ask; prints neither its path nor what it sends."""

    method: Method
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Bounds:
    """What a request may take."""

    deadline_s: float = 30.0
    """Of everything: looking up, connecting, sending, reading."""
    connect_s: float = 5.0
    """Of connecting to one address, TLS included."""
    max_bytes: int = 1024 * 1024
    """Of the answer's body; what is longer is cut."""


@dataclass(frozen=True)
class Answer:
    """What came back, whatever its status: the request has arrived."""

    status: int
    headers: Mapping[str, str]
    """Found in any case."""
    body: bytes = field(repr=False)
    missing: Missing | None = None
    """None = the body is whole."""

    @property
    def is_redirect(self) -> bool:
        """Whether it leads elsewhere, where nobody goes: the URL is to be mended."""
        return self.status in {301, 302, 303, 307, 308}


class NoAnswer(RetryLater):
    """Nothing came back that says what became of the request."""

    def __init__(self, message: str, *, may_have_arrived: bool) -> None:
        """Take the reason, and whether the other side may have acted on the request."""
        super().__init__(message)
        self.may_have_arrived = may_have_arrived


class _Lost(aiohttp.ClientError):
    """A connection that broke after the request was begun; the library repeats nothing that ends so."""


@dataclass
class _Exchange:
    """How far a request has come."""

    sent: bool = False
    response: aiohttp.ClientResponse | None = None
    body: bytearray = field(default_factory=bytearray)


class Outbound:
    """Asks the outside, as the rules allow."""

    def __init__(
        self,
        rules: OutboundRules,
        *,
        at_once: int = _CONNECTIONS_EACH,
        resolve: Resolve | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        """Take the rules.

        at_once  how many connections there may be to one place; who needs one more waits, within its deadline
        resolve  how names are looked up; None = by the system
        trusted  who may sign certificates; None = whom the system trusts
        """
        self._rules = rules
        self._at_once = at_once
        self._system = SystemResolver()
        self._resolve = resolve or self._system
        self._ssl = trusted or ssl.create_default_context()
        self._ssl.set_alpn_protocols(["http/1.1"])

    async def __aenter__(self) -> Self:
        self._direct = self._open(_Never())
        self._through_proxy = self._open(None) if self._rules.proxy else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._direct.close()
        if self._through_proxy:
            await self._through_proxy.close()
        self._system.close()

    async def send(self, request: Request, bounds: Bounds = Bounds()) -> Answer:
        """Ask once.

        raises  `Blocked` where the rules are against it, now or by where the name leads; nothing was sent
        raises  `NoAnswer`
        """
        with _counted():
            target = read_url(request.url, self._rules)
            headers = _headers(request, target)
            exchange = _Exchange()
            try:
                async with asyncio.timeout(bounds.deadline_s):
                    return await self._send(request, target, headers, bounds, exchange)
            except TimeoutError as error:
                if (head := exchange.response) is not None:
                    return Answer(head.status, head.headers, bytes(exchange.body), Missing.TOO_SLOW)
                message = f"{target}: no answer within {bounds.deadline_s:g} s"
                raise NoAnswer(message, may_have_arrived=exchange.sent) from error
            finally:
                if exchange.response:
                    exchange.response.close()  # of a connection that can be kept there is nothing left to close

    async def checked_addresses(self, host: str, port: int, *, deadline_s: float = _LOOK_UP_S) -> tuple[str, ...]:
        """Look up what is to be reached without HTTP; connect to these addresses, and to nothing by its name.

        raises  `Blocked`, `NoAnswer`
        """
        with _counted():
            return await self._looked_up(read_endpoint(host, port, self._rules), deadline_s)

    async def checked_database(self, database: Database) -> tuple[Endpoint, tuple[str, ...]]:
        """Look up where a database is; the rest as of `checked_addresses`."""
        with _counted():
            endpoint = check_database(database, self._rules)
            return endpoint, (await self._looked_up(endpoint, _LOOK_UP_S))[:_MOST_ADDRESSES]

    async def _looked_up(self, endpoint: Endpoint, deadline_s: float) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(deadline_s):
                return await self._addresses(endpoint)
        except TimeoutError as error:
            message = f"{endpoint}: its name was not found within {deadline_s:g} s"
            raise NoAnswer(message, may_have_arrived=False) from error

    async def _send(
        self, request: Request, target: Target, headers: Mapping[str, str], bounds: Bounds, exchange: _Exchange
    ) -> Answer:
        session, places = await self._places(target.endpoint)
        refused: list[str] = []
        for place in places:
            try:
                response = exchange.response = await session.request(
                    request.method,
                    URL(f"{target.scheme}://{_bracketed(place)}:{target.endpoint.port}{target.path}", encoded=True),
                    headers=headers,
                    data=io.BytesIO(request.body) if request.body else None,
                    allow_redirects=False,
                    server_hostname=target.endpoint.host,
                    proxy=self._rules.proxy if session is self._through_proxy else None,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=bounds.connect_s),
                    trace_request_ctx=exchange,
                )
            except (
                aiohttp.ClientConnectorError,
                aiohttp.ConnectionTimeoutError,
                aiohttp.ClientHttpProxyError,
            ) as error:
                refused.append(f"{place}: {_why(error)}")
            except aiohttp.ClientError as error:
                raise NoAnswer(f"{target}: {_why(error)}", may_have_arrived=exchange.sent) from error
            else:
                missing = await _read(response, exchange, bounds.max_bytes)
                return Answer(response.status, response.headers, bytes(exchange.body), missing)
        raise NoAnswer(f"{target}: no connection to {'; '.join(refused)}", may_have_arrived=False)

    async def _places(self, endpoint: Endpoint) -> tuple[aiohttp.ClientSession, Sequence[str]]:
        """Choose the way, and what to name at its end: judged addresses, or to a proxy the name."""
        if self._through_proxy and not (endpoint.is_local or endpoint.is_private):
            return self._through_proxy, [endpoint.host]
        return self._direct, (await self._addresses(endpoint))[:_MOST_ADDRESSES]

    async def _addresses(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Look an endpoint up once, and judge all of the answer: one bad address speaks against the name."""
        if endpoint.address:
            return (check_address(endpoint.host, endpoint, self._rules),)
        try:
            found = await self._resolve(self._asked_for(endpoint))
        except OSError as error:
            raise NoAnswer(f"{endpoint}: its name leads nowhere: {error.strerror}", may_have_arrived=False) from error
        if not found:
            raise NoAnswer(f"{endpoint}: its name has no address", may_have_arrived=False)
        return tuple(dict.fromkeys([check_address(address, endpoint, self._rules) for address in found]))

    def _asked_for(self, endpoint: Endpoint) -> str:
        """End a name with a dot, or a pod's search list looks for it among the cluster's own names first."""
        searches = self._rules.mode == "dev" or endpoint.is_private
        return endpoint.host if searches else f"{endpoint.host}."

    def _open(self, resolver: AbstractResolver | None) -> aiohttp.ClientSession:
        sending = aiohttp.TraceConfig()
        sending.on_request_headers_sent.append(_note_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=resolver,
                use_dns_cache=False,
                ssl=self._ssl,
                limit=max(_CONNECTIONS, self._at_once),
                limit_per_host=self._at_once,
                keepalive_timeout=_KEEP_S,
                socket_factory=_new_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept-Encoding"),
            middlewares=(_once,),
            trace_configs=[sending],
        )


def _new_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    return made


class _Never(AbstractResolver):
    """Looks nothing up: the library is given addresses."""

    async def resolve(self, host: str, port: int = 0, family: object = 0) -> list[ResolveResult]:  # noqa: ARG002
        raise OSError(f"{host}: not an address that was judged")

    async def close(self) -> None:
        return


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep the library from sending again what a kept connection lost: only the caller knows what may be repeated."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost("the connection broke before an answer came") from error


async def _note_sent(_session: object, context: object, _told: object) -> None:
    exchange = getattr(context, "trace_request_ctx", None)
    if isinstance(exchange, _Exchange):
        exchange.sent = True


async def _read(response: aiohttp.ClientResponse, exchange: _Exchange, max_bytes: int) -> Missing | None:
    """Read a body as far as it may be; returns why the rest is not there."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return Missing.ENCODED
    try:
        async for chunk in response.content.iter_any():
            room = max_bytes - len(exchange.body)
            exchange.body += chunk[:room]
            if len(chunk) > room:
                return Missing.TOO_LONG
    except (aiohttp.ClientError, ConnectionError):
        return Missing.BROKEN
    return None


def _headers(request: Request, target: Target) -> dict[str, str]:
    """Add what is ours; raises `Blocked` where a header would change more than the request says."""
    for name, value in request.headers.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            message = f"header {name!a}: only visible ASCII characters, spaces and tabs stand in headers"
            raise Blocked(str(target), Rule.HEADER, message)
        if name.lower() in _OURS:
            raise Blocked(str(target), Rule.HEADER, f"header {name} follows from the URL and the body; leave it out")
    defaults = {"user-agent": "EventRoute", "accept": "*/*"}
    said = {name.lower() for name in request.headers}
    kept = {name: value for name, value in defaults.items() if name not in said}
    return {**kept, **request.headers, "Host": target.authority, "Accept-Encoding": "identity"}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why(error: aiohttp.ClientError | OSError) -> str:
    """Say what went wrong without the library's own words, which show URLs as a whole."""
    match error:
        case _Lost():
            return str(error)
        case aiohttp.ClientConnectorCertificateError():
            told = error.certificate_error
            return getattr(told, "verify_message", "") or "its certificate is not valid for this host"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answers {error.status}"
        case aiohttp.ConnectionTimeoutError():
            return "it took too long"
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or type(error.os_error).__name__
        case _:
            return "what came back is no HTTP answer"


@contextmanager
def _counted() -> Iterator[None]:
    try:
        yield
    except Blocked as blocked:
        metrics.OUTBOUND_BLOCKED.labels(blocked.rule).inc()
        raise
