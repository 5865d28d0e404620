"""Where commands take a webhook secret from: an option, a file, or the environment; in this order."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from eventroute.errors import Refused

VARIABLE: Final = "EVENTROUTE_SECRET"

SecretOption = Annotated[
    str | None, typer.Option("--secret", help=f"The webhook secret; also ${VARIABLE}. Shells remember what you type.")
]
SecretFileOption = Annotated[
    Path | None, typer.Option("--secret-file", help="File that holds the secret; one line end at its end is dropped.")
]

VerifyTokenOption = Annotated[
    str, typer.Option("--verify-token", help="What set-up requests show: Meta's, Strava's; as in verifyTokenRef.")
]


def find_secret(secret: str | None, secret_file: Path | None) -> bytes | None:
    """Find the secret that the user means; None where there is none. Raises `Refused` for a file that is not there."""
    if secret is not None:
        return secret.encode()
    if secret_file is not None:
        try:
            return secret_file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        except OSError as error:
            raise Refused(f"--secret-file {secret_file}: {error.strerror}") from error
    value = os.environ.get(VARIABLE)
    return None if value is None else value.encode()
