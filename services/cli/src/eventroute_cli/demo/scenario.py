"""What the demo sends: ordinary events of five providers, and the three things that must not start anything.

One event meets a template that fails, and becomes a dead letter: the template is mended, and the event replayed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec
from redis.asyncio import Redis

from eventroute.crd.v1alpha1 import EventRoute
from eventroute.errors import GaveUp
from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.outcome import Receipt, RunOutcome
from eventroute.queue import Desk
from eventroute.route_table import WORKER
from eventroute.runtime.tables import heartbeats, table_version
from eventroute.schemes import SCHEMES, KeyPair, Request, generate_secret, sign
from eventroute_cli.local.runs import RunView, read_run
from eventroute_cli.samples import build_request, load_sample

_ANSWER_S: Final = 60.0  # Claude itself may take that long
_LOOK_S: Final = 0.02
_CUSTOMER: Final = "cus_NffrFeUfNV2Hib"  # one customer for all payments, so that there is a history
_BATCH: Final = 3
_SERVED_S: Final = 10.0  # workers hear of a change within milliseconds

REPLAYED: Final = "replayed"
"""Stands for a receipt where somebody runs a dead letter again."""

_MISTAKE: Final = "{{ payload.name | truncate: payload.name }}"
"""A number is wanted where a text stands: it shows when the first order comes."""


@dataclass(eq=False)
class Row:
    """One event on its way; a line of the table."""

    title: str
    route: RoutePath
    expected: str
    """A `Receipt`, or `REPLAYED`."""
    ending: RunOutcome = RunOutcome.SUCCEEDED
    receipt: str = ""
    delivery: DeliveryId | None = None
    ack_ms: float | None = None
    run: RunView | None = None

    @property
    def is_as_expected(self) -> bool:
        """Whether it was answered, and ended, as it should."""
        if self.receipt != self.expected:
            return False
        return not self.runs or (self.run is not None and self.run.outcome == self.ending)

    @property
    def runs(self) -> bool:
        """Whether something was started that ends by itself."""
        return self.receipt in {Receipt.QUEUED, REPLAYED}


@dataclass
class Sender:
    """Plays the providers: signs with each route's secret and posts to the receiver."""

    client: httpx.AsyncClient
    redis: Redis
    hooks_url: str
    routes: Mapping[RoutePath, EventRoute]
    secrets: Mapping[RoutePath, KeyPair]
    rows: list[Row]
    """Every event so far, for whoever draws them meanwhile."""
    desk: Desk
    publish: Callable[[Sequence[EventRoute]], Awaitable[None]]

    @property
    def by_provider(self) -> dict[str, RoutePath]:
        """Name the route of each provider."""
        return {route.spec.provider: path for path, route in self.routes.items()}

    def row(
        self, title: str, route: RoutePath, expected: str = Receipt.QUEUED, ending: RunOutcome = RunOutcome.SUCCEEDED
    ) -> Row:
        """Begin a line of the table."""
        row = Row(title, route, expected, ending)
        self.rows.append(row)
        return row

    def signed(self, route: RoutePath, event: str, change: Callable[[Any], Any] = lambda body: body) -> Request:
        """Make a fresh sample event, signed with the route's secret."""
        provider = self.routes[route].spec.provider
        sample = load_sample(provider, event, now=time.time())
        if sample.content_type == "application/json":
            sample = sample._replace(payload=msgspec.json.encode(change(msgspec.json.decode(sample.payload))))
        request = build_request(sample, url=self.routes[route].spec.public_url)
        return sign(SCHEMES[provider], request, secret=self.secrets[route].signing, now=time.time())

    async def post(self, rows: Sequence[Row], request: Request) -> None:
        """Send one request; the rows are its events in their order."""
        started = time.perf_counter()
        response = await self.client.post(
            f"{self.hooks_url}/{rows[0].route}", content=request.body, headers=request.headers
        )
        ack_ms = (time.perf_counter() - started) * 1000
        answers = _told(response)
        for position, row in enumerate(rows):
            told = answers[position] if position < len(answers) else {}
            row.ack_ms = ack_ms
            row.receipt = told.get("status", "")
            row.delivery = DeliveryId(told["delivery"]) if "delivery" in told else None

    async def settle(self, row: Row) -> None:
        """Follow a queued delivery to the end of its run."""
        if not row.runs or row.delivery is None:
            return
        deadline = time.monotonic() + _ANSWER_S
        while row.run is None or not row.run.outcome:
            if time.monotonic() > deadline:
                raise GaveUp(f"{row.title}: no answer after {_ANSWER_S:g} s")
            await asyncio.sleep(_LOOK_S)
            row.run = await read_run(self.redis, row.delivery)

    async def deliver(self, row: Row, request: Request) -> None:
        """Send an event and follow it to its answer."""
        await self.post([row], request)
        await self.settle(row)

    async def replay(self, row: Row, letter: Row) -> None:
        """Run a dead letter again and follow it to its answer."""
        row.delivery = letter.delivery
        if letter.delivery is not None and (await self.desk.replay([letter.delivery]))[letter.delivery] == "ok":
            row.receipt = REPLAYED
        await self.settle(row)

    async def serve(
        self, change: Callable[[EventRoute], EventRoute] = lambda route: route, *, beside: Sequence[EventRoute] = ()
    ) -> None:
        """Publish the routes, each as it is or changed, with others beside, and wait until every worker serves them."""
        await self.publish([*(change(route) for route in self.routes.values()), *beside])
        deadline = time.monotonic() + _SERVED_S
        while time.monotonic() < deadline:
            version = await table_version(self.redis, WORKER)
            if all(beat.version == version for beat in await heartbeats(self.redis, WORKER)):
                return
            await asyncio.sleep(_LOOK_S)


def with_mistake(routes: Sequence[EventRoute]) -> list[EventRoute]:
    """Put a mistake into the template for orders that only an event can find."""
    return [_mistaken(route) if route.spec.provider == "shopify" else route for route in routes]


def _mistaken(route: EventRoute) -> EventRoute:
    first, *others = route.spec.prompts
    wrong = first.model_copy(update={"user": f"{_MISTAKE}\n{first.user}"})
    return route.model_copy(update={"spec": route.spec.model_copy(update={"prompts": [wrong, *others]})})


def _told(response: httpx.Response) -> list[dict[str, str]]:
    """Read the receiver's answer as one entry per event; refusals and handshakes say nothing of themselves."""
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return [{"status": Receipt.UNAUTHENTICATED}]
    body = response.json() if response.content else {}
    if "challenge" in body:
        return [{"status": Receipt.HANDSHAKE}]
    return body.get("deliveries") or [body]


def new_secrets(routes: Sequence[EventRoute]) -> dict[RoutePath, KeyPair]:
    """Make a random secret for each route."""
    return {
        route_path(route.metadata.namespace, route.metadata.name): generate_secret(SCHEMES[route.spec.provider])
        for route in routes
    }


async def play(sender: Sender) -> None:
    """Send everything; providers at the same time, one customer's payments one after the other."""
    by_provider = sender.by_provider
    await asyncio.gather(
        _pull_request(sender, by_provider["github"]),
        _payments(sender, by_provider["stripe"]),
        _message(sender, by_provider["slack"]),
        _contacts(sender, by_provider["hubspot"]),
        _order(sender, by_provider["shopify"]),
    )


async def _pull_request(sender: Sender, route: RoutePath) -> None:
    row = sender.row("GitHub pull_request.opened", route)
    again = sender.row("GitHub sends it again", route, Receipt.DUPLICATE)
    request = sender.signed(route, "pull_request.opened")
    await sender.post([row], request)
    await sender.post([again], request)
    await sender.settle(row)


async def _payments(sender: Sender, route: RoutePath) -> None:
    def same_customer(body: Any) -> Any:
        body["data"]["object"]["customer"] = _CUSTOMER
        return body

    rows = [sender.row(f"Stripe invoice.payment_failed, {nth}", route) for nth in ("1st", "2nd", "3rd")]
    forged = sender.row("somebody else signs as Stripe", route, Receipt.UNAUTHENTICATED)
    request = sender.signed(route, "invoice.payment_failed", same_customer)
    stranger = generate_secret(SCHEMES["stripe"]).signing
    await sender.post([forged], sign(SCHEMES["stripe"], request, secret=stranger, now=time.time()))
    for row in rows:
        await sender.deliver(row, sender.signed(route, "invoice.payment_failed", same_customer))


async def _message(sender: Sender, route: RoutePath) -> None:
    hello = sender.row("Slack url_verification", route, Receipt.HANDSHAKE)
    row = sender.row("Slack message", route)
    await sender.post([hello], sender.signed(route, "url_verification"))
    await sender.deliver(row, sender.signed(route, "message"))


async def _contacts(sender: Sender, route: RoutePath) -> None:
    rows = [sender.row(f"HubSpot contact.creation, {n} of {_BATCH}", route) for n in range(1, _BATCH + 1)]

    def batch(body: Any) -> Any:
        return [{**body[0], "eventId": body[0]["eventId"] + n, "objectId": 1001 + n} for n in range(_BATCH)]

    await sender.post(rows, sender.signed(route, "contact.creation", batch))
    await asyncio.gather(*map(sender.settle, rows))


async def _order(sender: Sender, route: RoutePath) -> None:
    letter = sender.row("Shopify orders/create", route, ending=RunOutcome.DEAD)
    again = sender.row("its template mended, replayed", route, REPLAYED)
    await sender.deliver(letter, sender.signed(route, "orders/create"))
    await sender.serve()
    await sender.replay(again, letter)
