"""`eventroute simulator`: the stand-in for Claude, alone."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eventroute.errors import Refused
from eventroute_cli.listening import listen, url_of
from eventroute_cli.simulator.api import DEFAULT_KEY, Simulator, SimulatorSettings
from eventroute_cli.simulator.faults import Fault, parse_fault, parse_faults
from eventroute_cli.simulator.limits import NO_LIMITS, RateLimits


def simulator(
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    key: Annotated[str, typer.Option(help="The API key to accept.")] = DEFAULT_KEY,
    latency: Annotated[float, typer.Option(help="Median time to an answer, in seconds.", min=0)] = 0.8,
    spread: Annotated[float, typer.Option(help="Sigma of the log-normal latency; 0 = always the median.", min=0)] = 0.5,
    seed: Annotated[int, typer.Option(help="The same seed gives the same latencies and draws.")] = 0,
    requests_per_minute: Annotated[int, typer.Option(help="Rate limit of each model family.", min=1)] = (
        NO_LIMITS.requests
    ),
    input_tokens_per_minute: Annotated[int, typer.Option(help="The same for input tokens.", min=1)] = (
        NO_LIMITS.input_tokens
    ),
    output_tokens_per_minute: Annotated[int, typer.Option(help="The same for output tokens.", min=1)] = (
        NO_LIMITS.output_tokens
    ),
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND[,FIELD=VALUE]… with times, rate, match, retry_after_s, delay_s, message."),
    ] = None,
    script: Annotated[Path | None, typer.Option(help="JSON file with a list of faults.", dir_okay=False)] = None,
) -> None:
    """Answer Claude's Messages API on this machine: no key, no cost, and faults on demand.

    Every answer is marked as simulated. Kinds of faults: an HTTP status (400 401 402 403 404 408 409 413 429 499
    500 503 504 529), a limit or trouble of the account (ramp_limit enforced_spend_limit contract_spend_limit
    own_spend_limit workspace_spend_limit credit_balance organization_on_hold), hang, cut, cut_body, malformed, no_text,
    ok, or a stop reason (end_turn max_tokens stop_sequence tool_use pause_turn refusal model_context_window_exceeded).

    For example:

      eventroute simulator --port 8090 --latency 0

      eventroute simulator --fault 429,times=3,retry_after_s=2 --fault refusal,match=invoice.payment_failed

      eventroute simulator --fault 529,rate=0.1 --requests-per-minute 50

      curl -X POST localhost:8090/simulator/faults -d '{"kind": "hang", "match": "pull_request"}'

      curl localhost:8090/simulator/requests
    """
    settings = SimulatorSettings(
        key=key,
        latency_s=latency,
        latency_spread=spread,
        seed=seed,
        limits=RateLimits(requests_per_minute, input_tokens_per_minute, output_tokens_per_minute),
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
        console.print(f"  export ANTHROPIC_API_KEY={settings.key}\n", markup=False)
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
