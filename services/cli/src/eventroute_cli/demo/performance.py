"""The demo itself, on a stack that is starting: send, watch, explain."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from importlib import resources
from typing import Final, TypeVar

import httpx
from rich.console import Console
from rich.live import Live
from rich.padding import Padding

from eventroute.compile import Compiled, compile_routes
from eventroute.crd.manifest import parse_manifests
from eventroute.crd.objects import ObjectKey
from eventroute.crd.v1alpha1 import EventRoute
from eventroute.errors import GaveUp
from eventroute.ids import RoutePath, route_path
from eventroute.queue import Desk, Group
from eventroute.runtime.redis import connect
from eventroute.schemes import SCHEMES, KeyPair, generate_secret
from eventroute.secret import Secret
from eventroute_cli.demo.pressure import Act, press
from eventroute_cli.demo.scenario import REPLAYED, Row, Sender, new_secrets, play, with_mistake
from eventroute_cli.demo.show import build_live, build_table, total_cost
from eventroute_cli.demo.sinks import SECRET, reach
from eventroute_cli.local.stack import Stack
from eventroute_cli.local.trace_view import build_tree

_DRAWN_PER_S: Final = 8
_LOOK_S: Final = 0.1
_INDENT: Final = 2
_SPANS_S: Final = 3.0  # spans arrive in batches a moment after they ended

_T = TypeVar("_T")


def perform(console: Console, stack: Stack, *, is_real: bool, serve: bool, started: float) -> None:
    """Send the demo's events through a stack that is starting, and explain what happened.

    is_real  Claude itself answers
    serve    stay up afterwards, until interrupted
    started  when the command began, on the monotonic clock
    raises   `GaveUp` when a program fails, or an event does not end as it should
    """
    routes = load_routes()
    secrets, signing = new_secrets(routes), generate_secret(SCHEMES["standard-webhooks"])
    with console.status("starting"):
        stack.publish(compile_for_demo(with_mistake(routes), secrets, signing))
        stack.wait_ready()
    console.print(f"Ready after {time.monotonic() - started:.1f} s; webhooks go to {stack.wiring.hooks_url}\n")
    asyncio.run(_perform(console, stack, routes, secrets, signing, is_real=is_real))
    if serve:
        _stay_up(console, stack, routes, secrets)


def load_routes() -> list[EventRoute]:
    """Read the demo's own manifests; they are also samples for a cluster."""
    folder = resources.files(__package__).joinpath("routes")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    manifests = [parse_manifests(file.read_text(encoding="utf-8"), file.name) for file in files]
    return [found.route for manifest in manifests for found in manifest.routes]


def compile_for_demo(
    routes: Sequence[EventRoute], secrets: dict[RoutePath, KeyPair], signing: KeyPair | None = None
) -> Compiled:
    """Compile the manifests with the demo's secrets; raises `GaveUp` when one is not served.

    signing  what messages to its service are signed with
    """
    values: dict[ObjectKey, dict[str, Secret]] = {}
    for route in routes:
        path = route_path(route.metadata.namespace, route.metadata.name)
        for ref in route.spec.secret_refs:
            values.setdefault(ObjectKey(route.metadata.namespace, ref.name), {})[ref.key] = Secret(
                secrets[path].configured
            )
        if signing:
            service = ObjectKey(route.metadata.namespace, SECRET.name)
            values.setdefault(service, {})[SECRET.key] = Secret(signing.configured)
    compiled = compile_routes(routes, secrets=values, config_maps={})
    problems = [
        problem.message for verdict in compiled.verdicts if not verdict.is_served for problem in verdict.problems
    ]
    if problems:
        raise GaveUp("the demo's own routes do not compile:\n" + "\n".join(problems))
    return compiled


async def _perform(
    console: Console,
    stack: Stack,
    routes: Sequence[EventRoute],
    secrets: dict[RoutePath, KeyPair],
    signing: KeyPair,
    *,
    is_real: bool,
) -> None:
    async with connect(stack.wiring.redis_url) as redis, httpx.AsyncClient(timeout=10) as client:

        async def publish(changed: Sequence[EventRoute]) -> None:
            await asyncio.to_thread(stack.publish, compile_for_demo(changed, secrets, signing))

        sender = Sender(
            client=client,
            redis=redis,
            hooks_url=stack.wiring.hooks_url,
            routes={route_path(route.metadata.namespace, route.metadata.name): route for route in routes},
            secrets=secrets,
            rows=[],
            desk=Desk({Group(0): redis}),
            publish=publish,
        )
        await client.get(f"{stack.wiring.receiver_probe_url}/livez")  # the client's first request takes long
        await _play(console, stack, sender)
        _explain(console, stack, sender.rows)
        with console.status("more than Claude may be asked at once"):
            pressed = await _watched(stack, press(sender, simulator_url=stack.wiring.claude_url))
        _explain_acts(console, "Then more than Claude may be asked at once:", pressed)
        with console.status("a service that is away"):
            sent = await _watched(stack, reach(sender, signing, simulator_url=stack.wiring.claude_url))
        _explain_acts(console, "Then answers that go places:", sent)
    _conclude(console, sender.rows, [*pressed, *sent], is_real=is_real)


async def _play(console: Console, stack: Stack, sender: Sender) -> None:
    # Drawn by a thread of its own: between a request and its answer, drawing would count as the receiver's time.
    live = Live(
        get_renderable=lambda: build_live(sender.rows, stack.collector, console),
        console=console,
        transient=True,
        refresh_per_second=_DRAWN_PER_S,
    )
    with live:
        await _watched(stack, play(sender))
        await _spans_of(stack, sender.rows)
    console.print(build_table(sender.rows, stack.collector, console, with_answers=True))


async def _watched(stack: Stack, playing: Coroutine[None, None, _T]) -> _T:
    """Play to the end, unless a program ends before, or the user does not want to wait for it."""
    task = asyncio.create_task(playing)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_S)
            stack.processes.check()
        return await task
    except httpx.HTTPError as error:
        raise GaveUp(f"the receiver does not answer: {error!r}") from error
    finally:
        task.cancel()


async def _spans_of(stack: Stack, rows: Sequence[Row]) -> None:
    """Wait until the trace of every answered event has its last span."""
    wanted = {row.run.trace_id for row in rows if row.run and row.run.trace_id}
    deadline = time.monotonic() + _SPANS_S
    while time.monotonic() < deadline:
        if all(any(span.name.startswith("process ") for span in stack.collector.spans(trace)) for trace in wanted):
            return
        await asyncio.sleep(0.05)


def _explain(console: Console, stack: Stack, rows: Sequence[Row]) -> None:
    last = next(row for row in reversed(rows) if row.title.startswith("Stripe"))
    if last.run is not None:
        console.print("\nThe third payment's trace, from the receipt to the sink:")
        console.print(build_tree(stack.collector.spans(last.run.trace_id)))
    odd = [row.title for row in rows if not row.is_as_expected]
    if odd:
        raise GaveUp(f"not as expected: {', '.join(odd)}")
    console.print(
        "\nThe order became a dead letter, as the template for it failed; it was kept, the template mended, and the "
        "order replayed. [bold]eventroute dead list[/], [bold]explain[/] and [bold]dead replay[/] do the same.\n"
    )


def _explain_acts(console: Console, title: str, acts: Sequence[Act]) -> None:
    console.print(title)
    for act in acts:
        console.print(Padding(f"[bold]{act.title}[/]: {act.said}", (0, 0, 0, _INDENT)))


def _conclude(console: Console, rows: Sequence[Row], acts: Sequence[Act], *, is_real: bool) -> None:
    everything = [*rows, *(row for act in acts for row in act.rows)]
    events = [row for row in everything if row.expected != REPLAYED]
    money = "what these answers cost" if is_real else "what these answers would have cost"
    console.print(
        f"\n{len(events)} events, each ended as it should; USD {total_cost(everything):.5f} is {money}.\n"
        "Next: write a route of your own and run [bold]eventroute dev -f DIR[/], or send more with "
        "[bold]eventroute demo --serve[/] and [bold]eventroute send[/]."
    )


def _stay_up(console: Console, stack: Stack, routes: Sequence[EventRoute], secrets: dict[RoutePath, KeyPair]) -> None:
    console.print("\nServing until Ctrl-C. For example:")
    for route in routes:
        path = route_path(route.metadata.namespace, route.metadata.name)
        signed_url = f" --public-url {route.spec.public_url}" if route.spec.public_url else ""
        # A throw-away secret of this run: it is made to be pasted.
        command = f"eventroute send {route.spec.provider} --url {stack.wiring.hooks_url}/{path}{signed_url}"
        console.print(f"  {command} --secret {secrets[path].signing.decode()}", soft_wrap=True, markup=False)
    console.print(f"Logs: {stack.processes.log('worker').parent}", soft_wrap=True, markup=False)
    while True:
        stack.processes.check()
        time.sleep(_LOOK_S)
