"""`eventroute simulator`: the stand-in for Claude, alone."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eventroute.errors import Refused
from eventroute_cli.listening import listen, url_of
from eventroute_cli.simulator.api import DEFAULT_KEY, Simulator, SimulatorSettings
from eventroute_cli.simulator.faults import Fault, parse_fault, parse_faults
from eventroute_cli.simulator.journal import MAX_ENTRIES
from eventroute_cli.simulator.limits import parse_limit
from eventroute_cli.simulator.models import parse_retirement

PortOption = Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)]
HostOption = Annotated[str, typer.Option(help="Address to listen on.")]
KeyOption = Annotated[list[str] | None, typer.Option(help="An API key to accept.", show_default=DEFAULT_KEY)]
LatencyOption = Annotated[float, typer.Option(help="Median time to an answer, in seconds.", min=0)]
SpreadOption = Annotated[float, typer.Option(help="Sigma of the log-normal latency; 0 = always the median.", min=0)]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same latencies and draws.")]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(help="Rate limits: [POOL,]FIELD=VALUE… with requests, input_tokens, output_tokens, burst_s, ramp."),
]
JournalOption = Annotated[int, typer.Option(help="How many requests it keeps for a look.", min=1)]
RetireOption = Annotated[
    list[str] | None, typer.Option(help="MODEL=TIME: when a model goes away, such as 2026-12-14T00:00:00Z.")
]
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        help="KIND[,FIELD=VALUE]… with times, rate, match, retry_after_s, delay_s, message, text, category, tool, "
        "calls."
    ),
]
ScriptOption = Annotated[Path | None, typer.Option(help="JSON file with a list of faults.", dir_okay=False)]


def simulator(
    *,
    port: PortOption = 8090,
    host: HostOption = "127.0.0.1",
    key: KeyOption = None,
    latency: LatencyOption = 0.8,
    spread: SpreadOption = 0.5,
    seed: SeedOption = 0,
    limit: LimitOption = None,
    journal: JournalOption = MAX_ENTRIES,
    retire: RetireOption = None,
    fault: FaultOption = None,
    script: ScriptOption = None,
) -> None:
    """Answer Claude's Messages API on this machine: no key, no cost, and faults on demand.

    Every answer is marked as simulated. Limits are per minute, for each key, in one pool of models or in all: at
    `burst_s=1`, sixty requests a minute are one a second; beyond `ramp` requests in ten seconds, there may be twice as
    many as in the ten before.

    Kinds of faults: an HTTP status (400 401 402 403 404 408 409 413 429 499 500 503 504 529), a limit or trouble of the
    account (ramp_limit enforced_spend_limit contract_spend_limit own_spend_limit workspace_spend_limit credit_balance
    organization_on_hold), hang, cut, cut_body, malformed, no_text, schema_violation, enum_case, ok, or a stop reason
    (end_turn max_tokens stop_sequence tool_use pause_turn refusal model_context_window_exceeded).

    For example:

      eventroute simulator --port 8090 --latency 0

      eventroute simulator --fault 429,times=3,retry_after_s=2 --fault refusal,match=invoice.payment_failed

      eventroute simulator --fault 529,rate=0.1 --limit requests=50 --limit claude-haiku-5-5,requests=90,burst_s=1

      eventroute simulator --retire claude-haiku-5-5=2026-12-14T00:00:00Z

      curl -X POST localhost:8090/simulator/faults -d '{"kind": "hang", "match": "pull_request"}'

      curl -X PATCH localhost:8090/simulator/limits -d '{"pool": "claude-haiku-5-5", "requests": 25}'

      curl localhost:8090/simulator/requests
    """
    settings = SimulatorSettings(
        keys=tuple(key or [DEFAULT_KEY]),
        latency_s=latency,
        latency_spread=spread,
        seed=seed,
        limit_changes=tuple(map(parse_limit, limit or [])),
        journal_entries=journal,
        lives=tuple(map(parse_retirement, retire or [])),
        faults=tuple(_read_faults(fault or [], script)),
    )
    serve(settings, host=host, port=port)


def serve(settings: SimulatorSettings, *, host: str, port: int) -> None:
    """Serve until interrupted, after saying how to reach it."""
    from eventroute_cli.simulator.server import build_server  # 0.7 s, for this command only

    with listen(host, port) as listener:
        console = Console(highlight=False)
        console.print("A simulated Claude listens; Ctrl-C ends it. Point the official SDK at it with:\n")
        console.print(f"  export ANTHROPIC_BASE_URL={url_of(listener)}", markup=False)
        console.print(f"  export ANTHROPIC_API_KEY={settings.keys[0]}\n", markup=False)
        console.print(f"What was asked, and answered: {url_of(listener)}/simulator/requests")
        build_server(Simulator(settings)).run(sockets=[listener])


def _read_faults(short: list[str], script: Path | None) -> list[Fault]:
    faults = [parse_fault(text) for text in short]
    if script is None:
        return faults
    try:
        return [*faults, *parse_faults(script.read_bytes())]
    except OSError as error:
        raise Refused(f"{script}: {error.strerror}; --script names a JSON file with a list of faults") from error
    except Refused as error:
        raise Refused(f"{script}: {error}") from error
