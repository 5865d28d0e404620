"""`eventroute verify`: judges recorded requests, to answer "why is my signature refused?".

Offline, but for providers whose public keys are fetched: then from them, unless a file has these keys.

Signatures only: a secret that no route would be served with is judged like any other, and nothing is read from the
body beyond what is signed.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.text import Text

from eventroute.errors import Refused
from eventroute.outcome import Refusal
from eventroute.schemes import (
    Key,
    KeyName,
    KeyRefused,
    Rejected,
    Scheme,
    needs_secret,
    no_ring,
    parse_key,
    preflight,
    verify,
)
from eventroute_cli.credentials import SecretFileOption, SecretOption, VerifyTokenOption, find_secret
from eventroute_cli.fixtures import Expected, Recorded, Unreadable, read_fixtures
from eventroute_cli.provider_keys import ProviderKeys
from eventroute_cli.raw_request import parse_request
from eventroute_cli.send import OutputOption, find_scheme

MALFORMED: Final = "malformed_entry"
"""Reason of an entry that is no request; what is wrong follows after a colon."""
KEYLESS: Final = "no_secret"
TOKENLESS: Final = "no_verify_token"
UNFETCHED: Final = "no_key"
"""Reason where the provider's public key could not be fetched; why follows after a colon."""


class Judgement(NamedTuple):
    """What became of one entry."""

    id: str
    verdict: Expected
    expected: Expected | None
    reason: str | None
    """Why it is invalid: a `Refusal`, a problem with the secret, or `malformed_entry: …`; null when valid."""

    @property
    def differs(self) -> bool:
        """Whether the entry says that it should be otherwise."""
        return self.expected is not None and self.verdict != self.expected


def verify_command(
    files: Annotated[
        list[Path], typer.Argument(help="Recorded requests: JSON, or with -f or --provider one raw HTTP message each.")
    ],
    *,
    route: Annotated[
        Path | None, typer.Option("--route", "-f", help="Manifest of the route that they were for.")
    ] = None,
    provider: Annotated[str, typer.Option(help="Judge them by this provider, whatever they say.")] = "",
    url: Annotated[str, typer.Option(help="Public URL, for providers that sign it; the route's unless given.")] = "",
    secret: SecretOption = None,
    secret_file: SecretFileOption = None,
    verify_token: VerifyTokenOption = "",
    now: Annotated[
        str, typer.Option(help="Clock to judge ages by: Unix seconds, or `now`. Else what is recorded, if anything.")
    ] = "",
    keys: Annotated[
        Path | None,
        typer.Option(help="The provider's certificate or set of keys, for providers whose keys are fetched otherwise."),
    ] = None,
    output: OutputOption = "text",
) -> None:
    """Check the signatures of recorded requests, and say why one is refused.

    Nothing is sent anywhere, and nothing fetched but public keys of SNS and Pub/Sub, unless --keys has them. A request
    that sets a webhook up, as a GET with a challenge, is valid where a receiver would answer it.

    Reasons: missing_header, malformed_signature, stale, future, mismatch, body_unparseable, unknown_scheme; of fetched
    keys unsigned, weak_digest, foreign (another topic, account or audience), untrusted_key, and no_key where it could
    not be fetched; no_secret or Secret… where the secret is at fault, no_verify_token where there is none;
    malformed_entry where the file is.

    For example:

      eventroute verify captured/*.json --secret "$SECRET"

      eventroute verify request.http -f route.yaml --now now

      eventroute verify request.http --provider github --secret "$SECRET"

      eventroute verify message.json --provider aws-sns --secret "$TOPIC_ARN" --keys certificate.pem

      eventroute verify vectors.json -o json

    Exit code 1: a verdict differs from the entry's `expected`, or a raw request is refused.
    """
    given, clock = find_secret(secret, secret_file), _clock(now)
    is_meant = secret is not None or secret_file is not None
    cases = [case for file in files for case in _cases(file, route, provider)]
    token, known = verify_token.encode(), ProviderKeys(keys)
    judgements = [
        judge(_amended(entry, given, token, clock, url, replaces=is_meant), scheme, keys=known)
        for entry, scheme in cases
    ]
    if output == "json":
        typer.echo(json.dumps([judgement._asdict() for judgement in judgements], indent=2))
    else:
        _print(judgements)
    if any(judgement.differs for judgement in judgements):
        raise typer.Exit(1)


def judge(entry: Recorded | Unreadable, scheme: Scheme | None = None, *, keys: ProviderKeys | None = None) -> Judgement:
    """Judge one entry; raises `Refused` for a file of keys that holds none, and nothing else.

    scheme  the row of the route that the request was for; None = the one that the entry names
    keys    public keys that are fetched; None = none are
    """
    if isinstance(entry, Unreadable):
        return Judgement(entry.id, "invalid", entry.expected, f"{MALFORMED}: {entry.message}")
    scheme = scheme or entry.row()
    reason = _refusal(entry, scheme, keys) if scheme else Refusal.UNKNOWN_SCHEME
    return Judgement(entry.id, "invalid" if reason else "valid", entry.expected, reason)


def _refusal(entry: Recorded, scheme: Scheme, known: ProviderKeys | None) -> str | None:
    keys, problems = _keys(scheme, entry.configured_secrets(scheme))
    request = entry.request()
    found = preflight(scheme, request, keys, token=entry.verify_token)
    if isinstance(found, Rejected):
        return found.reason if entry.verify_token else TOKENLESS
    if found:
        return None  # a set-up request that a receiver answers: nothing signs it
    if not keys and needs_secret(scheme):
        return next(iter(problems), KEYLESS)
    verdict = verify(scheme, request, keys, entry.now, ring=known.ring(scheme) if known else no_ring)
    if isinstance(verdict, KeyName):
        return f"{UNFETCHED}: {known.trouble if known else verdict.url}; give its file with --keys"
    return verdict.reason if isinstance(verdict, Rejected) else None


def _keys(scheme: Scheme, secrets: Iterable[bytes]) -> tuple[list[Key], list[str]]:
    keys: list[Key] = []
    problems: list[str] = []
    for secret in secrets:
        try:
            keys.append(parse_key(scheme, secret))
        except KeyRefused as refused:
            problems.append(refused.reason)
    return keys, problems


_Case = tuple[Recorded | Unreadable, Scheme | None]


def _cases(file: Path, route: Path | None, provider: str) -> list[_Case]:
    """Read a file's requests, each with the row to judge it by where that is not its own."""
    entries = read_fixtures(file) if _is_json(file) or not (route or provider) else [_read_raw(file)]
    return [(entry, None) if isinstance(entry, Unreadable) else _aimed(entry, route, provider) for entry in entries]


def _is_json(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{")
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error


def _read_raw(file: Path) -> Recorded:
    """Read a raw HTTP message; who asks about one expects it to be valid."""
    try:
        raw = parse_request(file.read_bytes())
    except Refused as error:
        raise Refused(f"{file}: {error}") from error
    return Recorded(id=file.name, method=raw.method, url=raw.url, headers=raw.headers, body=raw.body, expected="valid")


def _aimed(entry: Recorded, route: Path | None, provider: str) -> _Case:
    """Judge a request as sent to the route, or by the provider, that the command line names."""
    if route is None:
        return entry, find_scheme(provider) if provider else None
    from eventroute_cli.route_file import find_route  # 0.4 s, for -f only

    meant = find_route(route, entry.url or "")
    held = replace(
        entry,
        secrets=meant.secrets,
        encoding="utf8",
        verify_token=meant.verify_token,
        url=meant.public_url(entry.url or ""),
        query=urlsplit(entry.url or "").query,
    )
    return held, meant.scheme


def _amended(
    entry: Recorded | Unreadable, secret: bytes | None, token: bytes, now: float | None, url: str, *, replaces: bool
) -> Recorded | Unreadable:
    """Let what the user said take the place of what was recorded; a secret of the environment only fills a gap."""
    if isinstance(entry, Unreadable):
        return entry
    if secret is not None and (replaces or not entry.secrets):
        entry = replace(entry, secrets=(secret,), encoding="utf8")
    now = entry.now if now is None else now
    return replace(entry, now=now, url=url or entry.url, verify_token=token or entry.verify_token)


def _clock(text: str) -> float | None:
    if not text:
        return None
    if text == "now":
        return time.time()
    if text.isascii() and text.isdigit():
        return float(text)
    raise Refused(f"--now {text!r}: Unix seconds, or the word now")


def _print(judgements: Sequence[Judgement]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    width = max((len(judgement.id) for judgement in judgements), default=0)
    for judgement in judgements:
        style = "red" if judgement.differs else "green" if judgement.verdict == "valid" else "yellow"
        expected = f"expected {judgement.expected}" if judgement.differs else ""
        line = f"{judgement.id:<{width}}  {judgement.verdict:<7}  {judgement.reason or ''}  {expected}"
        console.print(Text(line.rstrip(), style=style))
    valid = sum(judgement.verdict == "valid" for judgement in judgements)
    differing = sum(judgement.differs for judgement in judgements)
    console.print(
        f"{len(judgements)} requests: {valid} valid, {len(judgements) - valid} invalid, {differing} unexpected"
    )
