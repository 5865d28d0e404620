"""`eventroute capture`: a small receiver that records what arrives, as fixtures, without credentials and signatures.

It verifies nothing. Headers are recorded as received but for those that hold secrets; the body byte for byte. Where the
provider is known its handshakes are answered, so that a webhook can be pointed here.
"""

import itertools
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec
import typer
from rich.console import Console

from eventroute.errors import Refused
from eventroute.schemes import SCHEMES, Handshake, Request, Scheme, choose_reply, preflight, read, sensitive_headers
from eventroute_cli.fixtures import Recorded, write_fixture
from eventroute_cli.listening import listen, url_of
from eventroute_cli.send import find_scheme

MAX_BODY_BYTES: Final = 25 * 1024 * 1024  # the most that any provider sends
_FORWARD_TIMEOUT_S: Final = 30.0
_SECRET_PARAMETERS: Final = frozenset(
    {"access_token", "token", "key", "secret", "signature", "password", "verify_token", "hub.verify_token"}
)
_NOT_FORWARDED: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_NOT_ANSWERED: Final = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})
"""Of the answer, what is about its way here."""


def capture(
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)] = 8091,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    directory: Annotated[Path, typer.Option("--dir", help="Where the fixtures go; made if missing.")] = Path(
        "captured"
    ),
    provider: Annotated[str, typer.Option(help="Who sends; recorded, and its headers are known.")] = "",
    forward: Annotated[str, typer.Option(help="Also send each request there, and relay its answer.")] = "",
    public_url: Annotated[str, typer.Option(help="URL to record; what the request says unless given.")] = "",
    max_body_bytes: Annotated[int, typer.Option(help="Larger requests get 413.", min=1)] = MAX_BODY_BYTES,
    keep_credentials: Annotated[
        bool, typer.Option("--keep-credentials", help="Keep signatures and tokens, for `eventroute verify`.")
    ] = False,
) -> None:
    """Record webhooks as JSON files, one per request, for tests and for `eventroute replay`.

    Secrets and signatures in headers are left out; the body is kept exactly. Answers 200 to everything.

    For example:

      eventroute capture --provider github --dir tests/fixtures

      eventroute capture --forward http://127.0.0.1:8080/hooks/team-a/triage

      eventroute capture --keep-credentials --public-url https://hooks.example.com/hooks/shop/payments
    """
    import uvicorn  # 0.2 s, for this command only

    if provider:
        find_scheme(provider)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"--dir {directory}: {error.strerror}") from error
    recorder = Recorder(
        directory,
        provider=provider,
        public_url=public_url,
        forward=forward,
        max_body_bytes=max_body_bytes,
        keep_credentials=keep_credentials,
    )
    with listen(host, port) as listener:
        recorder.console.print(f"Recording into {directory} what arrives at {url_of(listener)} until Ctrl-C")
        config = uvicorn.Config(recorder, ws="none", lifespan="off", log_config=None, server_header=False)
        uvicorn.Server(config).run(sockets=[listener])


class _Answer(NamedTuple):
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


_TAKEN: Final = _Answer(200, (("content-type", "application/json"),), b'{"status":"captured"}')
_TOO_LARGE: Final = _Answer(413, (("connection", "close"),))
_UNREACHABLE: Final = _Answer(502)


class Recorder:
    """The ASGI application."""

    def __init__(
        self,
        directory: Path,
        *,
        provider: str = "",
        public_url: str = "",
        forward: str = "",
        max_body_bytes: int = MAX_BODY_BYTES,
        keep_credentials: bool = False,
    ) -> None:
        """Record into a directory that exists."""
        self.console = Console(highlight=False, soft_wrap=True)
        self._directory = directory
        self._provider = provider
        self._public_url = public_url
        self._forward = forward
        self._max_body_bytes = max_body_bytes
        self._keep_credentials = keep_credentials
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Record one request and answer it."""
        body = await self._read(receive)
        answer = _TOO_LARGE if body is None else await self._take(scope, body)
        headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
        if answer.status != HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _read(self, receive: Any) -> bytes | None:
        """Read the body; None when it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    async def _take(self, scope: Any, body: bytes) -> _Answer:
        recorded = self._recorded(scope, body)
        file = self._directory / f"{recorded.id}.json"
        write_atomically(file, write_fixture(recorded))
        answer = await _forward(self._forward, scope, body) if self._forward else self._answer(scope, body)
        self.console.print(f"{answer.status}  {file}  {len(body)} bytes", markup=False)
        return answer

    def _answer(self, scope: Any, body: bytes) -> _Answer:
        """Answer as the provider wants it: a handshake with what it asks for, anything else with success."""
        scheme = SCHEMES.get(self._provider)
        if scheme is None:
            return _TAKEN
        query = scope["query_string"].decode("latin-1")
        request = Request(method=scope["method"], url=None, headers=scope["headers"], body=body, query=query)
        outcome = preflight(believing(scheme), request, ()) or read(scheme, request)
        if isinstance(outcome, Handshake):
            if outcome.visit:
                self.console.print(f"confirm it by opening {outcome.visit}", markup=False)
            return _Answer(outcome.status, outcome.headers, outcome.body)
        taken, reply = _TAKEN._replace(status=scheme.success_status), choose_reply(scheme, request)
        if reply is None:
            return taken
        headers = (("content-type", reply.media_type),) if reply.media_type else ()
        return taken._replace(headers=headers, body=reply.body.encode())

    def _recorded(self, scope: Any, body: bytes) -> Recorded:
        now = datetime.now(UTC)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        kept, redacted = (headers, []) if self._keep_credentials else redact(headers, self._provider)
        query = scope["query_string"].decode("latin-1")
        return Recorded(
            id=f"{now:%Y%m%dT%H%M%S.%f}-{next(self._numbers):04}{'-' if self._provider else ''}{self._provider}",
            provider=self._provider,
            method=scope["method"],
            url=self._public_url or _url(scope, query if self._keep_credentials else redact_query(query)),
            headers=tuple(kept),
            body=body,
            now=now.timestamp(),
            redacted=tuple(redacted),
        )


def believing(scheme: Scheme) -> Scheme:
    """Let set-up requests show any verify token: there is no route here that has one."""
    rules = (
        msgspec.structs.replace(rule, when=tuple(match for match in rule.when if not match.verify_token))
        for rule in scheme.handshake
    )
    return msgspec.structs.replace(scheme, handshake=tuple(rules))


def redact(headers: Iterable[tuple[str, str]], provider: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Leave out the headers that hold credentials or signatures, and name them.

    provider  whose headers; empty = those of every provider count as secret
    """
    secret = sensitive_headers(SCHEMES[provider or "generic"])
    kept = [(name, value) for name, value in headers if name.lower() not in secret]
    return kept, sorted({name.lower() for name, _ in headers if name.lower() in secret})


def redact_query(query: str) -> str:
    """Replace the values of query parameters that are known to carry secrets; other queries stay as they are."""
    parameters = parse_qsl(query, keep_blank_values=True)
    if not any(name.lower() in _SECRET_PARAMETERS for name, _ in parameters):
        return query
    return urlencode([(name, "…" if name.lower() in _SECRET_PARAMETERS else value) for name, value in parameters])


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file that is either absent or whole, whenever the program ends."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".", suffix=".part", delete=False) as part:
        part.write(content)
    Path(part.name).replace(file)


def _url(scope: Any, query: str) -> str:
    host = dict(scope["headers"]).get(b"host", b"localhost").decode("latin-1")
    path = scope["raw_path"].decode("latin-1")  # as the sender spelled it, which is what some providers sign
    return f"{scope['scheme']}://{host}{path}" + (f"?{query}" if query else "")


async def _forward(url: str, scope: Any, body: bytes) -> _Answer:
    """Send a request on as it came, and bring the whole answer back: its headers may be what a handshake is about."""
    import httpx  # 0.3 s, for --forward only

    headers = [(name, value) for name, value in scope["headers"] if name.decode("latin-1") not in _NOT_FORWARDED]
    try:
        to = httpx.URL(url)
        query = b"&".join(filter(None, (to.query, scope["query_string"])))
        path = to.raw_path.partition(b"?")[0]
        async with httpx.AsyncClient(timeout=_FORWARD_TIMEOUT_S) as client:
            response = await client.request(
                scope["method"],
                to,
                headers=headers,
                content=body,
                extensions={"target": path + b"?" + query if query else path},  # byte for byte: some senders sign it
            )
    except (httpx.HTTPError, httpx.InvalidURL):
        return _UNREACHABLE
    told = ((name, value) for name, value in response.headers.multi_items() if name not in _NOT_ANSWERED)
    return _Answer(response.status_code, tuple(told), response.content)
