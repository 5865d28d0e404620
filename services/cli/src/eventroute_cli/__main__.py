"""The `eventroute` command: registers its commands, and turns our errors into one line and an exit code.

Exit codes: 0 done, 1 the command found what it looks for (a finding, a refused signature), 2 it could not do its work.
"""

import sys

import typer
from rich.console import Console

from eventroute.errors import EventRouteError
from eventroute_cli.capture import capture
from eventroute_cli.demo.command import demo
from eventroute_cli.desk import dead, runs
from eventroute_cli.desk.budget import budget
from eventroute_cli.desk.explain import explain
from eventroute_cli.desk.switch import start, stop
from eventroute_cli.dev import dev
from eventroute_cli.lint import lint
from eventroute_cli.replay import replay
from eventroute_cli.send import send
from eventroute_cli.simulator.command import simulator
from eventroute_cli.verify import verify_command

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def eventroute() -> None:
    """EventRoute: webhooks in, Claude's answers out."""


app.command()(demo)
app.command()(dev)
app.command()(lint)
app.command()(capture)
app.command()(replay)
app.command()(send)
app.command()(simulator)
app.command("verify")(verify_command)
app.add_typer(runs.app, name="runs")
app.add_typer(dead.app, name="dead")
app.command()(explain)
app.command()(budget)
app.command()(stop)
app.command()(start)


def main() -> None:
    """Run the command; an error of ours is a message for people, never a traceback."""
    try:
        app()
    except EventRouteError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {error}", style="red", markup=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
