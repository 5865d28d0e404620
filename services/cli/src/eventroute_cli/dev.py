"""`eventroute dev`: the user's own routes on this machine, served again after each change."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from eventroute.errors import Refused, RetryLater
from eventroute.ids import DeliveryId
from eventroute.runtime import tracing
from eventroute_cli.findings import Examined, examine
from eventroute_cli.lint import show_findings, summary
from eventroute_cli.local.changes import Changes
from eventroute_cli.local.collector import CollectedSpan
from eventroute_cli.local.interrupt import ending_on_signals
from eventroute_cli.local.stack import Stack, StackOptions, claude_key, running_stack

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
    options = StackOptions(real_claude_key=key, receiver_port=port)
    watched = [*files, *([env_file] if env_file else [])]
    if missing := [str(path) for path in watched if not path.exists()]:
        raise Refused(f"no such file or directory: {', '.join(missing)}")

    def progress(line: str) -> None:
        console.print(line, style="dim")

    def look() -> Examined:
        return examine(files, recursive=recursive, env_file=env_file)

    with ending_on_signals(console) as interruption:
        changes = Changes(watched, recursive=recursive)
        first = look()
        show_findings(first.findings, console)
        with running_stack(options, environ, progress, interruption.heed) as stack:
            with console.status("starting"):
                stack.publish(first.compiled)
                stack.wait_ready()
            _show_routes(first, stack, console)
            _serve(stack, changes, look, console, served=first)


def _serve(stack: Stack, changes: Changes, look: Callable[[], Examined], console: Console, *, served: Examined) -> None:
    """Publish after each change, and tell what happens, until interrupted."""
    feed = _Feed(stack, console)
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
            _show_routes(examined, stack, console)


def _show_routes(examined: Examined, stack: Stack, console: Console) -> None:
    routes = examined.compiled.receiver
    console.print(f"serving {len(routes)} of {summary(examined)}", style="bold")
    for path, route in routes.items():
        console.print(f"  {route.scheme.name:20} {stack.wiring.hooks_url}/{path}", markup=False)


class _Feed:
    """Tells of receipts and runs by the spans that the programs export: nothing happens without one."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._position = 0

    def show_new(self) -> None:
        """Print a line for each receipt and each attempt since the last call."""
        spans, self._position = self._stack.collector.since(self._position)
        for span in spans:
            if span.kind == "SERVER":
                self._line(span, f"{span.duration_ms:.1f} ms")
            elif span.kind == "CONSUMER":
                self._line(span, self._answer(span))

    def _line(self, span: CollectedSpan, rest: str) -> None:
        facts = span.attributes
        clock = time.strftime("%H:%M:%S", time.localtime(span.start_ns / 1e9))
        where = facts.get(tracing.ROUTE) or facts.get(tracing.URL_PATH, "")
        words = [str(where), *(str(facts.get(key, "")) for key in (tracing.EVENT, tracing.OUTCOME, tracing.REASON))]
        line = Text(f"{clock}  " + "  ".join(word for word in words if word), "red" if span.failed else "")
        self._console.print(line.append(f"  {rest}", "dim"))

    def _answer(self, span: CollectedSpan) -> str:
        delivery = DeliveryId(str(span.attributes.get(tracing.MESSAGING_MESSAGE_ID, "")))
        run = self._stack.read_run(delivery)
        text = " ".join(run.answer.text.split()) if run.answer else ""
        return f"{delivery}  {text[:_ANSWER_CHARS]}"
