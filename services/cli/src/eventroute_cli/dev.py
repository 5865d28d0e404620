"""`eventroute dev`: the user's own routes on this machine, served again after each change."""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from eventroute.compile import CUSTOM
from eventroute.errors import Refused, RetryLater
from eventroute.ids import DeliveryId, RoutePath
from eventroute.route_table import ReceiverRoute
from eventroute.runtime import tracing
from eventroute_cli.findings import Examined, examine
from eventroute_cli.lint import show_findings, summary
from eventroute_cli.local.changes import Changes
from eventroute_cli.local.collector import CollectedSpan
from eventroute_cli.local.interrupt import ending_on_signals
from eventroute_cli.local.stack import Stack, StackOptions, claude_key, running_stack
from eventroute_cli.terminal import in_a_line

_AGAIN_S: Final = 60.0  # as the operator does: it frees the names of routes that were deleted a while ago
_LOOK_S: Final = 0.2
_ANSWER_CHARS: Final = 300


def dev(
    files: Annotated[
        list[Path], typer.Option("-f", "--file", help="Manifests, or directories of manifests.", show_default=False)
    ],
    *,
    recursive: Annotated[bool, typer.Option("-R", "--recursive", help="Look into folders of directories too.")] = False,
    env_file: Annotated[
        Path | None, typer.Option(help="Secrets as lines NAMESPACE/NAME/KEY=value, besides those in the manifests.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port for webhooks.", min=1, max=65535)] = 8080,
    real: Annotated[
        bool, typer.Option("--real", help="Ask Claude itself, with ANTHROPIC_API_KEY. Costs money.")
    ] = False,
    models: Annotated[
        Path | None, typer.Option(help="What you know of models, over what is built in: your `models.json`.")
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(envvar="REDIS_URL", help="A Redis of yours; else a private one.")
    ] = None,
) -> None:
    """Serve your routes on this machine, and again after each change; Claude is simulated unless --real.

    Prints what is wrong with the manifests as `eventroute lint` does, and then a line per webhook and per answer. While
    a change has errors, the routes before it stay in service.

    For example:

      eventroute dev -f routes/ --env-file .env

      eventroute dev -f route.yaml -f secrets.yaml --port 9000

      ANTHROPIC_API_KEY=sk-ant-… eventroute dev -f routes/ --real
    """
    console = Console(highlight=False, soft_wrap=True)
    environ = {**os.environ, **({"REDIS_URL": redis_url} if redis_url else {})}
    key = claude_key(environ) if real else None
    options = StackOptions(real_claude_key=key, receiver_port=port, models=models)
    watched = [*files, *([env_file] if env_file else [])]
    if missing := [str(path) for path in watched if not path.exists()]:
        raise Refused(f"no such file or directory: {', '.join(missing)}")

    def progress(line: str) -> None:
        console.print(line, style="dim")

    def look() -> Examined:
        return examine(files, recursive=recursive, env_file=env_file, models=models)

    with ending_on_signals(console) as interruption:
        changes = Changes(watched, recursive=recursive)
        first = look()
        show_findings(first.findings, console)
        with running_stack(options, environ, progress, interruption.heed) as stack:
            with console.status("starting"):
                stack.publish(first.compiled)
                stack.wait_ready()
            _show_routes(first, stack, console)
            _show_addresses(stack, console)
            _serve(stack, changes, look, console, served=first)


def _serve(stack: Stack, changes: Changes, look: Callable[[], Examined], console: Console, *, served: Examined) -> None:
    """Publish after each change, and tell what happens, until interrupted."""
    feed = _Feed(stack, served, console)
    again = time.monotonic() + _AGAIN_S
    while True:
        time.sleep(_LOOK_S)
        stack.processes.check()
        feed.show_new()
        if time.monotonic() >= again:
            again = time.monotonic() + _AGAIN_S
            with contextlib.suppress(RetryLater):  # the next time will do
                stack.publish(served.compiled)
        if not changes.come():
            continue
        examined = look()
        show_findings(examined.findings, console)
        if examined.errors:
            console.print(f"{summary(examined)}; the routes from before stay in service", style="yellow")
        else:
            served = examined
            stack.publish(served.compiled)
            feed.routes = served.compiled.receiver
            _show_routes(examined, stack, console)


def _show_routes(examined: Examined, stack: Stack, console: Console) -> None:
    routes = examined.compiled.receiver
    console.print(f"serving {len(routes)} of {summary(examined)}", style="bold")
    for path, route in routes.items():
        fate = {"drop": "dropped", "hold": "held"}.get(route.suspend or "")
        note = f"  suspended: events are {fate}" if fate else ""
        console.print(f"  {route.scheme.name:20} {stack.wiring.hooks_url}/{path}{note}", markup=False)


def _show_addresses(stack: Stack, console: Console) -> None:
    """Name what else is to be seen: prompts as the simulator got them, figures, commands that look into runs."""
    wiring = stack.wiring
    if stack.simulator_port:
        console.print(f"  prompts as they were sent:  http://127.0.0.1:{stack.simulator_port}/simulator/requests")
    console.print(f"  metrics of the receiver:    {wiring.receiver_probe_url}/metrics")
    console.print(f"  metrics of the worker:      {wiring.worker_probe_url}/metrics")
    console.print(
        "  in another terminal:        eventroute runs list, eventroute explain DELIVERY, eventroute dead list"
    )


class _Feed:
    """Tells of receipts and runs by the spans that the programs export: nothing happens without one."""

    def __init__(self, stack: Stack, examined: Examined, console: Console) -> None:
        self.routes: Mapping[RoutePath, ReceiverRoute] = examined.compiled.receiver
        self._stack = stack
        self._console = console
        self._position = 0
        self._without_id: set[RoutePath] = set()

    def show_new(self) -> None:
        """Print a line for each receipt and each attempt since the last call."""
        spans, self._position = self._stack.collector.since(self._position)
        for span in sorted(spans, key=lambda span: span.start_ns):  # programs export each in its own time
            if span.kind == "SERVER":
                self._receipt(span)
            elif span.kind == "CONSUMER":
                self._run(span)

    def _receipt(self, span: CollectedSpan) -> None:
        facts = span.attributes
        count = int(facts.get(tracing.EVENT_COUNT, 1))
        said = [
            str(facts.get(tracing.EVENT_ID, "")),
            f"{count} events" if count > 1 else "",
            f"{span.duration_ms:.1f} ms",
        ]
        self._line(span, *said)
        if tracing.EVENT_COUNT in facts and tracing.EVENT_ID not in facts:
            self._tell_of_no_id(RoutePath(str(facts.get(tracing.ROUTE, ""))))

    def _tell_of_no_id(self, path: RoutePath) -> None:
        """Say once per route that its events have no id where the route says where to find one."""
        route = self.routes.get(path)
        if route is None or not route.scheme.id or path in self._without_id:
            return
        self._without_id.add(path)
        field = "spec.custom.id" if route.scheme.name == CUSTOM else f"an id of {route.scheme.name}"
        self._console.print(
            f"  {path}: the event has no id: {field} ({', '.join(route.scheme.id)}) finds nothing in it. "
            "Without one, a repetition is known by its bytes at most, and may run twice.",
            style="yellow",
        )

    def _run(self, span: CollectedSpan) -> None:
        delivery = DeliveryId(str(span.attributes.get(tracing.MESSAGING_MESSAGE_ID, "")))
        run = self._stack.read_run(delivery)
        # What an attempt says of itself counts for its line; the record is that of the last one.
        own = str(span.attributes.get(tracing.DETAIL, ""))
        said = "; ".join(filter(None, dict.fromkeys((own, *run.remarks))))
        self._line(span, said, delivery, in_a_line(run.answer.text)[:_ANSWER_CHARS] if run.answer else "")

    def _line(self, span: CollectedSpan, *rest: str) -> None:
        facts = span.attributes
        clock = time.strftime("%H:%M:%S", time.localtime(span.start_ns / 1e9))
        where = facts.get(tracing.ROUTE) or facts.get(tracing.URL_PATH, "")
        words = [where, *(facts.get(key, "") for key in (tracing.EVENT, tracing.OUTCOME, tracing.REASON))]
        said = filter(None, (in_a_line(str(word)) for word in words))
        line = Text(f"{clock}  {'  '.join(said)}", "red" if span.failed else "")
        self._console.print(line.append(f"  {'  '.join(filter(None, map(in_a_line, rest)))}", "dim"))
