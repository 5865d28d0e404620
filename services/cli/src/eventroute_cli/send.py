"""`eventroute send`: a correctly signed webhook of any provider, from a sample or a file; forged ones on request."""

import functools
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx
import typer
from rich.console import Console
from rich.table import Table

from eventroute.errors import Refused, RetryLater
from eventroute.schemes import (
    SCHEMES,
    Handshake,
    Request,
    Scheme,
    fetches_keys,
    generate_secret,
    needs_public_url,
    needs_secret,
    needs_verify_token,
    parse_key,
    preflight,
    set_up_request,
    sign,
)
from eventroute.suggest import nearest
from eventroute_cli.credentials import VARIABLE, SecretFileOption, SecretOption, VerifyTokenOption, find_secret
from eventroute_cli.samples import FORM, JSON, build_request, load_sample, sample_events

OutputOption = Annotated[
    Literal["text", "json"], typer.Option("--output", "-o", help="text for people, json for programs.")
]
EventOption = Annotated[str, typer.Option(help="Which sample; the provider's first one unless given.")]
FileOption = Annotated[Path | None, typer.Option(help="Send this body instead of a sample, byte for byte.")]
FormOption = Annotated[bool, typer.Option("--form", help="The file is form-encoded, not JSON.")]
UrlOption = Annotated[str, typer.Option(help="Where to; http://127.0.0.1:8080/hooks/default/PROVIDER unless given.")]
PublicUrlOption = Annotated[
    str, typer.Option(help="The route's publicURL, for providers that sign it; --url unless given.")
]
RepeatOption = Annotated[int, typer.Option(help="Send so many events, each with ids of its own.", min=1)]
DuplicateOption = Annotated[bool, typer.Option("--duplicate", help="Send each request a second time as it is.")]
ForgeOption = Annotated[bool, typer.Option("--forge", help="Sign with another secret; it should be refused.")]
SetUpOption = Annotated[
    bool,
    typer.Option(
        "--set-up", help="Send what the provider asks before there are events (Meta, Dropbox…), and check the answer."
    ),
]
WaitOption = Annotated[
    float, typer.Option(help="Try for so many seconds while nobody answers or the route is not live.", min=0)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the request instead of sending it.")]
NewSecretOption = Annotated[bool, typer.Option("--new-secret", help="Print a new secret for the provider.")]
ListOption = Annotated[bool, typer.Option("--list", help="List providers and their sample events.")]

_TIMEOUT_S: Final = 30.0  # longer than any provider waits
_UNAUTHENTICATED: Final = 401
_NOT_LIVE: Final = (404, 503)  # the route has not reached this receiver, or it has no table or no Redis yet
_PAUSE_S: Final = 0.5  # between two tries of --wait; arbitrary
_MAX_ANSWER_CHARS: Final = 2000  # of an answer that is shown; a receiver's has some eighty


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request, and what came back."""

    provider: str
    event: str
    status: int
    ms: float
    answer: str
    forged: bool = False
    wanted: str | None = None
    """What the provider wants to hear; None = any success."""

    @property
    def as_expected(self) -> bool:
        """Whether a genuine request was taken, and a forged one was not."""
        if self.forged:
            return self.status == _UNAUTHENTICATED
        return httpx.codes.is_success(self.status) and self.wanted in (None, self.answer)


def send(
    provider: Annotated[str | None, typer.Argument(help="A provider of the table; --list names them.")] = None,
    *,
    event: EventOption = "",
    file: FileOption = None,
    form: FormOption = False,
    secret: SecretOption = None,
    secret_file: SecretFileOption = None,
    url: UrlOption = "",
    public_url: PublicUrlOption = "",
    repeat: RepeatOption = 1,
    duplicate: DuplicateOption = False,
    forge: ForgeOption = False,
    set_up: SetUpOption = False,
    verify_token: VerifyTokenOption = "",
    wait: WaitOption = 0,
    dry_run: DryRunOption = False,
    new_secret: NewSecretOption = False,
    list_: ListOption = False,
    output: OutputOption = "text",
) -> None:
    """Send a correctly signed webhook of any provider.

    For example:

      eventroute send --list

      eventroute send github --event issues.opened --secret "$SECRET" --url http://127.0.0.1:8080/hooks/team-a/triage

      eventroute send stripe --secret-file stripe.secret --repeat 3 --duplicate

      eventroute send slack --secret "$SECRET" --forge

      eventroute send github --file payload.json --event push --secret "$SECRET" --dry-run

      eventroute send meta --set-up --verify-token "$VERIFY_TOKEN" --url http://127.0.0.1:8080/hooks/team-a/whatsapp

    Exit code 1: a genuine request was not accepted, a forged one was not refused, or a set-up had another answer than
    the provider wants.
    """
    if list_:
        _print_list(output)
        return
    scheme = find_scheme(provider)
    if new_secret:
        _print_new_secret(scheme, output)
        return
    target = url or f"http://127.0.0.1:8080/hooks/default/{scheme.name}"
    given = find_secret(secret, secret_file)
    if set_up:
        signed: Iterable[_Signed] = [_set_up(scheme, given, verify_token, forge=forge) for _ in range(repeat)]
    else:
        key = signing_secret(scheme, given, forge=forge)
        draft = functools.partial(_draft, scheme, event, file, public_url or target, form=form)
        signed = _signed(scheme, draft, key, count=repeat)
    if dry_run:
        for one in signed:
            typer.echo(format_request(one.request, target), nl=False)
        return
    delivered = _deliver_all(signed, target, copies=2 if duplicate else 1, wait_s=wait, forged=forge)
    report(delivered, output)


def report(delivered: Iterable[Sent], output: str) -> None:
    """Print what is sent, as text one by one, as JSON all of it; exit with 1 unless each answer is as expected."""
    sent: list[Sent] = []
    for each in delivered:
        sent.append(each)
        if output == "text":
            print_sent(each)
    if output == "json":
        typer.echo(json.dumps([as_json(item) for item in sent], indent=2))
    if not all(item.as_expected for item in sent):
        raise typer.Exit(1)


class _Signed(NamedTuple):
    """A request that is ready to go."""

    provider: str
    event: str
    request: Request
    wanted: str | None = None
    """As in `Sent`."""


def _set_up(scheme: Scheme, secret: bytes | None, token: str, *, forge: bool) -> _Signed:
    """Ask as the provider does when a webhook is set up; forged, with another token."""
    if forge and not needs_verify_token(scheme):
        raise Refused(f"{scheme.name}: nothing can be forged where no token is shown; leave --forge out")
    request = set_up_request(scheme, verify_token=secrets.token_hex(16) if forge else token)
    keys = [parse_key(scheme, secret)] if secret and needs_secret(scheme) else []
    answer = preflight(scheme, request, keys, token=token.encode())
    wanted = answer.body.decode() if isinstance(answer, Handshake) else None
    return _Signed(scheme.name, "set-up", request, wanted)


def _signed(scheme: Scheme, draft: Callable[[], tuple[str, Request]], key: bytes, *, count: int) -> Iterator[_Signed]:
    """Draft and sign so many events, each when it is its turn: a signature tells the time of sending."""
    for _ in range(count):
        event, request = draft()
        yield _Signed(scheme.name, event, sign(scheme, request, secret=key, now=time.time()))


def _deliver_all(signed: Iterable[_Signed], target: str, *, copies: int, wait_s: float, forged: bool) -> Iterator[Sent]:
    """Send requests one after the other, each so many times as it is, and tell of each when it is answered."""
    with httpx.Client(timeout=_TIMEOUT_S) as client:
        for provider, event, request, wanted in signed:
            trial = functools.partial(deliver, client, request, target, provider=provider, event=event, forged=forged)
            for _ in range(copies):
                yield replace(until_live(trial, wait_s=wait_s), wanted=wanted)


def find_scheme(provider: str | None) -> Scheme:
    """Find a provider's row; raises `Refused`, naming the rows there are."""
    if provider is not None and provider in SCHEMES:
        return SCHEMES[provider]
    wrong = f"unknown provider {provider!r}{nearest(provider, list(SCHEMES))}" if provider else "which provider?"
    raise Refused(f"{wrong} `eventroute send --list` names them all")


def deliver(
    client: httpx.Client, request: Request, target: str, *, provider: str, event: str, forged: bool = False
) -> Sent:
    """Send a signed request; raises `RetryLater` when nobody answers.

    target  where to; the query that signing added to the request's own URL (Twilio's hash) goes along
    """
    begun = time.perf_counter()
    try:
        response = client.request(
            request.method, _with_query(target, request), headers=list(request.headers), content=request.body
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Refused(f"--url {target}: {error}") from error
    except httpx.HTTPError as error:
        raise RetryLater(f"{target}: {str(error) or type(error).__name__}; is the receiver running there?") from error
    ms = (time.perf_counter() - begun) * 1000
    answer = response.text[:_MAX_ANSWER_CHARS]
    return Sent(provider=provider, event=event, status=response.status_code, ms=ms, answer=answer, forged=forged)


def until_live(trial: Callable[[], Sent], *, wait_s: float) -> Sent:
    """Send until the route answers for itself, or so many seconds have passed: then as `trial` ends."""
    deadline = time.monotonic() + wait_s
    while True:
        is_last = time.monotonic() >= deadline
        try:
            sent = trial()
        except RetryLater:
            if is_last:
                raise
        else:
            if is_last or sent.status not in _NOT_LIVE:
                return sent
        time.sleep(_PAUSE_S)


def print_sent(sent: Sent) -> None:
    """Print one line about a request."""
    colour = "green" if sent.as_expected else "red"
    what = f"{sent.provider} {sent.event}".strip() + (" (forged)" if sent.forged else "")
    line = f"[{colour}]{sent.status}[/] in {sent.ms:.1f} ms  {what}"
    Console(highlight=False, soft_wrap=True).print(line, end="  ")
    Console(highlight=False, soft_wrap=True).print(sent.answer, markup=False)


def format_request(request: Request, target: str) -> bytes:
    """Write a request as a raw HTTP message, which `eventroute verify` reads."""
    parts = urlsplit(_with_query(target, request))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = [f"{request.method} {path} HTTP/1.1".encode(), b"Host: " + parts.netloc.encode()]
    head += [name + b": " + value for name, value in request.headers]
    head.append(b"Content-Length: %d" % len(request.body))
    return b"\r\n".join(head) + b"\r\n\r\n" + request.body


def _with_query(target: str, request: Request) -> str:
    query = request.query or urlsplit(request.url or "").query
    return urlunsplit(urlsplit(target)._replace(query=query)) if query else target


def signing_secret(scheme: Scheme, given: bytes | None, *, forge: bool = False) -> bytes:
    """Choose what to sign with: the secret given, or for a forgery any other; raises `Refused` where there is none."""
    if fetches_keys(scheme):
        raise Refused(
            f"{scheme.name}: only the provider can sign, with keys that receivers fetch from it; let it send, and "
            f"record that with `eventroute capture --provider {scheme.name} --keep-credentials`"
        )
    if forge:
        if not needs_secret(scheme):
            raise Refused(f"{scheme.name}: nothing can be forged where nothing is signed; leave --forge out")
        return generate_secret(scheme).signing
    if given is None and needs_secret(scheme):
        raise Refused(
            f"{scheme.name}: no secret; give --secret, --secret-file or ${VARIABLE} "
            f"(eventroute send {scheme.name} --new-secret makes one)"
        )
    return given or b""


def _draft(scheme: Scheme, event: str, file: Path | None, url: str, *, form: bool) -> tuple[str, Request]:
    """Build the request to sign, and say which event it is."""
    signed_url = url if needs_public_url(scheme) else None
    if file is None:
        sample = load_sample(scheme.name, event, now=time.time())
        return sample.event, build_request(sample, url=signed_url)
    try:
        body = file.read_bytes()
    except OSError as error:
        raise Refused(f"--file {file}: {error.strerror}") from error
    headers = [(b"content-type", (FORM if form else JSON).encode()), *_event_header(scheme, event)]
    return event, Request(method="POST", url=signed_url, headers=headers, body=body)


def _event_header(scheme: Scheme, event: str) -> Iterator[tuple[bytes, bytes]]:
    """Name the event of a file's body where the provider has a header for it; the body is not touched."""
    source = scheme.event[0] if scheme.event else ""
    if source.startswith("header:"):
        if not event:
            raise Refused(f"{scheme.name}: a header names the event; say which with --event")
        first = event.partition(".")[0] if len(scheme.event) > 1 else event
        yield source.removeprefix("header:").split("|")[0].encode(), first.encode()
    elif event:
        raise Refused(f"{scheme.name}: the body names the event; leave --event out")


def as_json(sent: Sent) -> dict[str, object]:
    """Write one request for programs."""
    return {
        "provider": sent.provider,
        "event": sent.event,
        "forged": sent.forged,
        "status": sent.status,
        "ms": round(sent.ms, 1),
        "answer": sent.answer,
    }


def _print_list(output: str) -> None:
    events = {name: sample_events(name) for name in SCHEMES}
    if output == "json":
        typer.echo(json.dumps(events, indent=2))
        return
    table = Table("provider", "sample events", box=None, header_style="bold")
    for name, names in events.items():
        table.add_row(name, ", ".join(names) or "- (only the provider can send)")
    Console().print(table)


def _print_new_secret(scheme: Scheme, output: str) -> None:
    pair = generate_secret(scheme)
    if output == "json":
        typer.echo(json.dumps({"configured": pair.configured.decode(), "signing": pair.signing.decode()}))
        return
    typer.echo(pair.configured.decode())
    if pair.signing != pair.configured:
        typer.echo(f"above: for the route's Secret; to sign with: {pair.signing.decode()}", err=True)
