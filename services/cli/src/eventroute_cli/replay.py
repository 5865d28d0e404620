"""`eventroute replay`: recorded webhooks, signed again with a secret of yours and sent again."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import httpx
import typer

from eventroute.errors import Refused
from eventroute.schemes import Request, Scheme, needs_public_url, preflight, sign
from eventroute_cli.capture import believing
from eventroute_cli.credentials import SecretFileOption, SecretOption, find_secret
from eventroute_cli.fixtures import Recorded, Unreadable, read_fixtures
from eventroute_cli.send import OutputOption, Sent, deliver, find_scheme, report, signing_secret

_HOP_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
"""Belong to the connection that the request came over."""


def replay(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Fixtures, as `eventroute capture` writes them.")
    ],
    *,
    url: Annotated[str, typer.Option(help="Where to send them.")],
    secret: SecretOption = None,
    secret_file: SecretFileOption = None,
    provider: Annotated[str, typer.Option(help="Provider of fixtures that name none, or another than theirs.")] = "",
    public_url: Annotated[str, typer.Option(help="The route's publicURL, for providers that sign it.")] = "",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Make each a new event; without it a second replay is a duplicate.")
    ] = False,
    output: OutputOption = "text",
) -> None:
    """Sign recorded webhooks again and send them; those that set a webhook up are left out.

    For example:

      eventroute replay captured/*.json --secret "$SECRET" --url http://127.0.0.1:8080/hooks/team-a/triage

      eventroute replay captured/ --secret-file stripe.secret --url http://127.0.0.1:8080/hooks/shop/pay --fresh

    Exit code 1: one of them was not accepted.
    """
    given = find_secret(secret, secret_file)
    recorded = [entry for file in _expand(files) for entry in _readable(file)]

    def delivered() -> Iterator[Sent]:
        with httpx.Client(timeout=30.0) as client:
            for entry in recorded:
                scheme = find_scheme(provider or entry.provider)
                if _sets_up(scheme, entry):
                    told = f"{entry.id}: sets the webhook up, left out; see eventroute send {scheme.name} --set-up"
                    typer.echo(told, err=True)
                    continue
                key = signing_secret(scheme, given)
                request = resign(entry, scheme, secret=key, url=public_url or url, now=time.time(), fresh=fresh)
                yield deliver(client, request, url, provider=scheme.name, event=entry.id)

    report(delivered(), output)


def resign(entry: Recorded, scheme: Scheme, *, secret: bytes, url: str, now: float, fresh: bool = False) -> Request:
    """Sign a recorded request as if it were sent now.

    url    the public URL, for providers that sign it; the recorded one is only where it once went
    fresh  as another event: with a new delivery id, and bytes that were never sent before
    """
    kept = tuple((name, value) for name, value in entry.headers if name.lower() not in _HOP_HEADERS)
    request = replace(entry, headers=kept, url=url if needs_public_url(scheme) else None).request()
    return sign(scheme, request, secret=secret, now=now, delivery=_new_id() if fresh else "", distinct=fresh)


def _sets_up(scheme: Scheme, entry: Recorded) -> bool:
    """Whether a request is no event, but what a provider asks before it sends any."""
    return entry.method != "POST" or preflight(believing(scheme), entry.request(), ()) is not None


def _new_id() -> str:
    return str(time.time_ns())  # a figure, as some providers' ids are numbers


def _expand(files: list[Path]) -> list[Path]:
    return [found for file in files for found in (sorted(file.glob("*.json")) if file.is_dir() else [file])]


def _readable(file: Path) -> list[Recorded]:
    entries: list[Recorded] = []
    for entry in read_fixtures(file):
        if isinstance(entry, Unreadable):
            raise Refused(f"{file}: {entry.id}: {entry.message}")
        entries.append(entry)
    return entries
