"""`eventroute stop` and `eventroute start`: an emergency brake for all of an installation."""

import getpass
import os
import socket
from typing import Annotated, Final

import typer

from eventroute.queue import Desk, Stop
from eventroute_cli.desk.show import plain_console
from eventroute_cli.desk.spread import spread
from eventroute_cli.desk.story import span, stopped
from eventroute_cli.desk.where import Place, at_desk

_WHAT: Final = (
    "Stopping the installation: within two seconds no worker takes anything more. Calls under way end; what waits is "
    "held, at no cost and counting against no deadline. Receivers go on accepting."
)


@spread
def stop(
    *,
    reason: Annotated[str, typer.Option(help="Why, for whoever wonders; 200 characters are kept.")] = "",
    place: Place,
) -> None:
    """Let no worker take anything more until `eventroute start`; receivers go on accepting.

    Calls under way end. Without a word of where, a running `eventroute dev` or `demo` is stopped.

    For example:

      eventroute stop --reason 'answers are wrong since the last deploy'

      eventroute stop -n eventroute --context production

    Stopped already: that stays as it was told, exit code 0.
    """
    console = plain_console()

    async def work(desk: Desk) -> tuple[bool, Stop]:
        console.print(_WHAT)
        return await desk.stop(by=_whoami(), reason=reason), await desk.read_stop()

    is_news, said = at_desk(place, work)
    console.print(f"{'' if is_news else 'It was stopped already. '}{stopped(said)}")


@spread
def start(
    *,
    place: Place,
) -> None:
    """Let workers take deliveries again, after `eventroute stop`.

    For example:

      eventroute start

      eventroute start -n eventroute --context production

    Not stopped: nothing changes, exit code 0.
    """

    async def work(desk: Desk) -> tuple[Stop, bool, int]:
        return await desk.read_stop(), await desk.start(by=_whoami()), await desk.now_ms()

    was, is_news, now_ms = at_desk(place, work)
    if is_news and was.is_standing:
        ago, why = span(now_ms - was.since_ms), f" ({was.reason})" if was.reason else ""
        plain_console().print(f"Started: workers go on within two seconds. {was.by} had stopped it {ago} ago{why}.")
    else:
        plain_console().print("The installation is not stopped; nothing was changed.")


def _whoami() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name; the error depends on Python's version
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
