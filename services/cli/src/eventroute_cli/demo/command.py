"""The command: its options, and the programs that it starts; what is shown on them is `performance`."""

import os
import time
from typing import Annotated

import typer
from rich.console import Console

from eventroute_cli.local.interrupt import ending_on_signals


def demo(
    *,
    serve: Annotated[bool, typer.Option("--serve", help="Stay up afterwards, to be sent more.")] = False,
    real: Annotated[
        bool, typer.Option("--real", help="Ask Claude itself, with ANTHROPIC_API_KEY. Costs money.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(help="Port for webhooks; any free one by default.", min=1, max=65535)
    ] = None,
) -> None:
    """Show EventRoute at work on this machine: no cluster, no API key, no Redis.

    Starts receiver, worker, Redis and a Claude simulator, sends really signed webhooks of five providers, and shows
    each of them on its way to an answer, and one trace of it; then more than Claude may be asked at once, answers to a
    service that is away and to a second route, and a tool. Nothing is left behind.

    For example:

      eventroute demo

      eventroute demo --serve --port 8080

      ANTHROPIC_API_KEY=sk-ant-… eventroute demo --real
    """
    started = time.monotonic()
    console = Console(highlight=False)

    def progress(line: str) -> None:
        console.print(line, style="dim")

    with ending_on_signals(console) as interruption:
        from eventroute_cli.local.stack import StackOptions, claude_key, running_stack

        key = claude_key(os.environ) if real else None
        options = StackOptions(real_claude_key=key, receiver_port=port, command="demo")
        claude = "asking Claude itself" if real else "a Claude simulator"
        console.print(f"[bold]EventRoute demo[/]: Redis, receiver, worker, {claude}")
        with running_stack(options, os.environ, progress, interruption.heed) as stack:
            from eventroute_cli.demo.performance import perform  # takes a second, in which the programs start

            perform(console, stack, is_real=real, serve=serve, started=started)
