"""Who is at the desk, and whether they mean it."""

import getpass
import os
import socket
import sys

import typer

from eventroute.errors import Refused


def whoami() -> str:
    """Name the person, for whoever wonders later: `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name; the error depends on Python's version
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def confirm(question: str, *, yes: bool, look: str) -> None:
    """Ask, unless the answer was given before; raises `Refused` where nobody is there to ask.

    look  how to see before what is meant
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} Nobody is there to ask: say --yes, or look before with {look}")
    typer.confirm(question, abort=True, err=True)
