"""The simulator over HTTP: the Messages API, and a control side for tests and for people.

    POST   /v1/messages           as the real one
    POST   /v1/messages/count_tokens, GET /v1/models, GET /v1/models/{id}   the same; not in the journal
    GET    /simulator/requests    the journal; `?containing=TEXT` filters by the text of the request
    DELETE /simulator/requests    forgets it
    GET    /simulator/faults      the faults that still wait
    POST   /simulator/faults      appends one (a JSON object) or several (a list)
    DELETE /simulator/faults      forgets them
    GET    /simulator/limits      the rate limits of each pool
    PATCH  /simulator/limits      lets others hold from now on, of one pool or of all
    PATCH  /simulator/models      lets a model go away at a time, `{"model": …, "retires_at": …}`

The control side asks for no key: the simulator listens on this machine only unless told otherwise.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from litestar import Litestar, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from eventroute.errors import Refused
from eventroute_cli.simulator.api import Manner, Reply, Simulator
from eventroute_cli.simulator.errors import ApiError, invalid
from eventroute_cli.simulator.faults import Pending, parse_faults
from eventroute_cli.simulator.journal import Entry
from eventroute_cli.simulator.limits import RateLimits, parse_change
from eventroute_cli.simulator.models import Life, Stage, parse_life
from eventroute_cli.simulator.request import MAX_BODY_BYTES

CUT_EXTENSION: Final = "eventroute.cut"
"""ASGI extension of `server`: a function that drops the request's connection without a farewell."""

_FLUSH_S: Final = 0.02  # lets the socket take what was written before the connection is cut
_KINDS: Final = {404: "not_found_error", 413: "request_too_large", 500: "api_error"}

HttpRequest = Request[Any, Any, Any]
TheSimulator = NamedDependency[Simulator]


@post("/v1/messages", status_code=200)
async def messages(request: HttpRequest, simulator: TheSimulator) -> Response[Any]:
    """Answer as Claude's API would, or as a script says."""
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.scope["headers"]]
    client = request.client.host if request.client else ""
    reply = simulator.begin(headers, await request.body(), client=client)
    is_streamed = len(reply.parts) > 1
    if reply.manner is Manner.HANG or await _client_left(request, reply.delay_s / 2 if is_streamed else reply.delay_s):
        if reply.manner is Manner.HANG:
            await _client_left(request, None)
        simulator.end(reply, client_gone=True)
        return Response(b"")
    match reply.manner:
        case Manner.CUT:
            _cut(request)
        case Manner.CUT_BODY:
            return _stream(_until_cut(request, reply), reply, simulator)
        case Manner.WHOLE if is_streamed:
            return _stream(_spread(reply), reply, simulator)
    simulator.end(reply)
    return Response(reply.parts[0], status_code=reply.status, headers=simulator.headers(reply))


@post("/v1/messages/count_tokens", status_code=200)
async def count_tokens(request: HttpRequest, simulator: TheSimulator) -> dict[str, Any]:
    """Say how many tokens a prompt has."""
    return simulator.count(_headers(request), await request.body())


@get("/v1/models")
async def list_models(
    request: HttpRequest,
    simulator: TheSimulator,
    lifecycle: Annotated[list[Stage] | None, QueryParameter(name="lifecycle[]")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 20,
    after_id: Annotated[str | None, QueryParameter()] = None,
    before_id: Annotated[str | None, QueryParameter()] = None,
) -> dict[str, Any]:
    """List models, those that are retired only where they are asked for."""
    return simulator.list_models(_headers(request), lifecycle or [], limit=limit, after=after_id, before=before_id)


@get("/v1/models/{name:str}")
async def describe_model(request: HttpRequest, simulator: TheSimulator, name: FromPath[str]) -> dict[str, Any]:
    """Tell what is known of a model."""
    return simulator.describe_model(_headers(request), name)


@get("/simulator/requests")
async def list_requests(simulator: TheSimulator, containing: FromQuery[str] = "") -> list[Entry]:
    """Show what was asked and answered."""
    return simulator.journal.entries(containing)


@delete("/simulator/requests")
async def forget_requests(simulator: TheSimulator) -> None:
    """Empty the journal."""
    simulator.journal.clear()


@get("/simulator/faults")
async def list_faults(simulator: TheSimulator) -> list[Pending]:
    """Show the faults that still wait for their requests."""
    return simulator.faults.pending()


@post("/simulator/faults")
async def add_faults(request: HttpRequest, simulator: TheSimulator) -> list[Pending]:
    """Append faults to the script."""
    try:
        simulator.faults.add(parse_faults(await request.body()))
    except Refused as error:
        raise invalid(str(error)) from error
    return simulator.faults.pending()


@delete("/simulator/faults")
async def forget_faults(simulator: TheSimulator) -> None:
    """Empty the script."""
    simulator.faults.clear()


@get("/simulator/limits")
async def list_limits(simulator: TheSimulator) -> dict[str, RateLimits]:
    """Show what a minute allows."""
    return simulator.limits.shown()


@patch("/simulator/limits")
async def change_limits(request: HttpRequest, simulator: TheSimulator) -> dict[str, RateLimits]:
    """Change what a minute allows, while calls are under way."""
    try:
        simulator.change_limits(parse_change(await request.body()))
    except Refused as error:
        raise invalid(str(error)) from error
    return simulator.limits.shown()


@patch("/simulator/models")
async def change_model(request: HttpRequest, simulator: TheSimulator) -> Life:
    """Let a model go away at another time."""
    try:
        life = parse_life(await request.body())
    except Refused as error:
        raise invalid(str(error)) from error
    simulator.catalogue.change(life)
    return life


def build_app(simulator: Simulator) -> Litestar:
    """Put a simulator on HTTP."""
    return Litestar(
        route_handlers=[
            messages,
            count_tokens,
            list_models,
            describe_model,
            list_requests,
            forget_requests,
            list_faults,
            add_faults,
            forget_faults,
            list_limits,
            change_limits,
            change_model,
        ],
        dependencies={"simulator": Provide(lambda: simulator, sync_to_thread=False)},
        exception_handlers={HTTPException: _http_error, ApiError: _api_error},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_BODY_BYTES,
    )


def _headers(request: HttpRequest) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.scope["headers"]}


def _http_error(request: HttpRequest, error: HTTPException) -> Response[bytes]:
    kind = _KINDS.get(error.status_code, "invalid_request_error")
    return _api_error(request, ApiError(error.status_code, kind, error.detail, headers=dict(error.headers or {})))


def _api_error(_request: HttpRequest, error: ApiError) -> Response[bytes]:
    headers = {**error.headers, "content-type": "application/json"}
    return Response(error.body("req_none"), status_code=error.status, headers=headers)


def _stream(parts: AsyncIterator[bytes], reply: Reply, simulator: Simulator) -> Stream:
    return Stream(_ended(parts, reply, simulator), status_code=reply.status, headers=simulator.headers(reply))


async def _ended(parts: AsyncIterator[bytes], reply: Reply, simulator: Simulator) -> AsyncIterator[bytes]:
    """Send the parts, and note how it ended; a client that leaves ends the iteration."""
    client_gone = True
    try:
        async for part in parts:
            yield part
        client_gone = False
    finally:
        simulator.end(reply, client_gone=client_gone)


async def _spread(reply: Reply) -> AsyncIterator[bytes]:
    """Send the events with the second half of the latency between them."""
    pause_s = reply.delay_s / 2 / len(reply.parts)
    for part in reply.parts:
        yield part
        if pause_s:
            await asyncio.sleep(pause_s)


async def _until_cut(request: HttpRequest, reply: Reply) -> AsyncIterator[bytes]:
    body = b"".join(reply.parts)
    yield body[: len(body) // 2]
    await asyncio.sleep(_FLUSH_S)
    _cut(request)


def _cut(request: HttpRequest) -> None:
    extensions: dict[str, Any] = request.scope.get("extensions") or {}
    extensions[CUT_EXTENSION]["cut"]()


async def _client_left(request: HttpRequest, within_s: float | None) -> bool:
    """Wait that long, and tell whether the client broke off meanwhile; None waits for it."""
    try:
        async with asyncio.timeout(within_s):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
