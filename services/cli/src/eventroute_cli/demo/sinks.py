"""The third act: an answer to a service of the team's own, which is away at first, and one to another route.

Before the second one, Claude looks something up at the service, by a tool.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from string import Template
from typing import Final

from aiohttp import web

from eventroute.crd.manifest import parse_manifests
from eventroute.crd.v1alpha1 import EventRoute, HttpSink, LogSink, SecretKeyRef, Sink
from eventroute.errors import GaveUp
from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.outcome import Receipt
from eventroute.queue import Wanted
from eventroute.runtime.probe_port import serving
from eventroute.schemes import SCHEMES, KeyPair, Request, Verified, parse_key, verify
from eventroute_cli.demo.pressure import Act
from eventroute_cli.demo.scenario import Row, Sender

SECRET: Final = SecretKeyRef(name="demo-service", key="signing-secret")
"""Messages to the service are signed with what stands there."""

_SCHEME: Final = SCHEMES["standard-webhooks"]
_AWAY_S: Final = 1.0
_SENT_S: Final = 20.0  # a second or two after the service is back, most often
_LOOK_S: Final = 0.02


_FOLLOW_UP: Final = "follow-up"
_LOOKING_UP: Final = Template("""
apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {name: $name, namespace: $namespace}
spec:
  provider: github
  secretRefs: [{name: github-webhook, key: secret}]
  prompts:
    - system: Say in two sentences what the pull request changes, and how its build went.
      tools:
        - name: build
          description: Tells how the build of a pull request went, by the pull request's number.
          input:
            {type: object, properties: {number: {type: integer}}, required: [number], additionalProperties: false}
          http: {url: "$url/builds/{{ number }}"}
  sinks:
    - route: {name: $follow_up}
---
apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {name: $follow_up, namespace: $namespace}
spec:
  provider: eventroute
  prompts:
    - system: Say in one sentence what is to be done next.
      user: "{{ payload.data.text }}"
""")


class _Service:
    """Takes messages, unless it is away, and tells of builds."""

    def __init__(self) -> None:
        self.is_away = True
        self.refused = 0
        self.taken: list[Request] = []
        self.looked_up: list[str] = []

    async def tell(self, request: web.Request) -> web.Response:
        self.looked_up.append(request.path)
        return web.json_response({"number": request.match_info["number"], "state": "passed"})

    async def take(self, request: web.Request) -> web.Response:
        if self.is_away:
            self.refused += 1
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
        self.taken.append(Request(method="POST", url=None, headers=headers, body=await request.read()))
        return web.Response(status=HTTPStatus.NO_CONTENT)


async def reach(sender: Sender, signing: KeyPair, *, simulator_url: str | None) -> list[Act]:
    """Play the third act.

    signing        what messages are signed with
    simulator_url  where it can be said that a tool is used; None = Claude itself answers, who may do without
    raises         `GaveUp` when something does not end as it should
    """
    service = _Service()
    async with _serving(service) as url:
        await sender.serve(lambda route: _with_service(route, f"{url}/answers"))
        acts = [await _away(sender, service, signing)]
        if simulator_url:
            acts.append(await _handed_on(sender, service, url=url, simulator_url=simulator_url))
        await sender.serve()
    return acts


@asynccontextmanager
async def _serving(service: _Service) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/answers", service.take)
    app.router.add_get("/builds/{number}", service.tell)
    async with serving(app, host="127.0.0.1", port=0) as port:
        yield f"http://127.0.0.1:{port}"


def _with_service(route: EventRoute, url: str) -> EventRoute:
    if route.spec.provider != "github":
        return route
    sinks = (Sink(log=LogSink()), Sink(http=HttpSink(url=url, secretRefs=(SECRET,))))
    return route.model_copy(update={"spec": route.spec.model_copy(update={"sinks": sinks})})


async def _away(sender: Sender, service: _Service, signing: KeyPair) -> Act:
    route = sender.by_provider["github"]
    row = Row("pull request", route, Receipt.QUEUED)
    started = time.monotonic()
    await sender.deliver(row, sender.signed(route, "pull_request.opened"))
    answered_s = time.monotonic() - started
    await _until(lambda: service.refused > 0, "asked the service")
    await asyncio.sleep(_AWAY_S)
    service.is_away = False
    back = time.monotonic()
    await _until(lambda: bool(service.taken), "told the service")
    sent_s = time.monotonic() - back
    key = parse_key(_SCHEME, signing.configured)
    if not isinstance(verify(_SCHEME, service.taken[0], [key], time.time()), Verified):
        raise GaveUp("the message to the service is not signed as it should be")
    said = (
        f"in the log after {answered_s:.1f} s; at the service, which was away, {sent_s:.1f} s after it came back, "
        f"signed ({service.refused} attempts before)"
    )
    return Act("An answer to the log and to a service", said, [row])


async def _handed_on(sender: Sender, service: _Service, *, url: str, simulator_url: str) -> Act:
    """Let Claude look something up, and have its answer worked on by another route."""
    route = sender.by_provider["github"]
    namespace, _, name = route.partition("/")
    text = _LOOKING_UP.substitute(name=name, namespace=namespace, url=url, follow_up=_FOLLOW_UP)
    own, follow_up = (found.route for found in parse_manifests(text).routes)
    await sender.serve(lambda each: own if each is sender.routes[route] else each, beside=[follow_up])
    use = {"kind": "tool_use", "tool": "build", "input": {"number": 7}, "times": 1}
    (await sender.client.post(f"{simulator_url}/simulator/faults", json=use)).raise_for_status()
    row = Row("pull request", route, Receipt.QUEUED)
    await sender.deliver(row, sender.signed(route, "pull_request.opened"))
    next_row = Row("its answer", route_path(namespace, _FOLLOW_UP), Receipt.QUEUED, receipt=Receipt.QUEUED)
    next_row.delivery = await _first_of(sender, next_row.route)
    await sender.settle(next_row)
    if service.looked_up != ["/builds/7"]:
        raise GaveUp(f"the service was asked for {service.looked_up}, not once for /builds/7")
    if not (row.run and next_row.run and row.run.trace_id == next_row.run.trace_id):
        raise GaveUp("the two answers are not of one trace")
    said = (
        f"it looked its build up once (GET /builds/7), and its answer became an event of route {next_row.route}, "
        "which was answered too: one trace"
    )
    return Act("A pull request, a tool and a second route", said, [row, next_row])


async def _first_of(sender: Sender, route: RoutePath) -> DeliveryId:
    """Wait for the first delivery of a route."""
    deadline = time.monotonic() + _SENT_S
    while not (found := (await sender.desk.look(Wanted(route=route), limit=1)).lines):
        if time.monotonic() > deadline:
            raise GaveUp(f"route {route} was handed nothing within {_SENT_S:g} s")
        await asyncio.sleep(_LOOK_S)
    return found[0].id


async def _until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SENT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise GaveUp(f"the worker has not {what} within {_SENT_S:g} s")
        await asyncio.sleep(_LOOK_S)
