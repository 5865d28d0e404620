"""`eventroute lint`: whether manifests can be served, judged by the code that serves them."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from eventroute.compile import Severity
from eventroute_cli.findings import Examined, Finding, examine

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


class Output(StrEnum):
    """Form of the result."""

    TEXT = "text"
    JSON = "json"


def lint(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Manifests, or directories of manifests.")],
    *,
    recursive: Annotated[bool, typer.Option("-R", "--recursive", help="Look into folders of directories too.")] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    env_file: Annotated[
        Path | None, typer.Option(help="Secrets as lines NAMESPACE/NAME/KEY=value, besides those in the manifests.")
    ] = None,
    no_secrets: Annotated[
        bool, typer.Option("--no-secrets", help="Only note Secrets and ConfigMaps that are not in the manifests.")
    ] = False,
    models: Annotated[
        Path | None, typer.Option(help="What you know of models, over what is built in: your `models.json`.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="What your platform allows: chart values with `operator.policy`, or only what stands there."),
    ] = None,
) -> None:
    """Check EventRoutes: syntax, fields, provider, secrets, models, expressions, templates.

    Prints FILE:LINE, severity, reason and message of each problem. Ends with 1 if a route would not be served, else 0.

    For example:

      eventroute lint route.yaml secrets.yaml

      eventroute lint -R k8s/ --no-secrets

      eventroute lint routes/ --env-file .env -o json

      eventroute lint -R k8s/ --no-secrets --policy values.yaml

      eventroute lint route.yaml --no-secrets --models models.json
    """
    examined = examine(
        files, recursive=recursive, env_file=env_file, with_secrets=not no_secrets, models=models, policy=policy
    )
    if output is Output.JSON:
        typer.echo(msgspec.json.format(_as_json(examined)).decode())
    else:
        show_findings(examined.findings, Console(soft_wrap=True, highlight=False))
        typer.echo(summary(examined))
    raise typer.Exit(1 if examined.errors else 0)


def show_findings(findings: tuple[Finding, ...], console: Console) -> None:
    """Print one line per finding."""
    for finding in findings:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        console.print(
            Text.assemble(
                f"{place}: " if place else "",
                (finding.severity, _STYLES[finding.severity]),
                f" {finding.reason}: {finding.message}",
            )
        )


def summary(examined: Examined) -> str:
    """Say in a line how many routes and findings there are."""
    counts = Counter(finding.severity for finding in examined.findings)
    parts = [_counted(len(examined.compiled.verdicts), "route")]
    parts += [_counted(counts[severity], severity) for severity in Severity if counts[severity]]
    return ", ".join(parts) + ("" if examined.errors else ": no errors")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _as_json(examined: Examined) -> bytes:
    problems = [finding._asdict() for finding in examined.findings]
    counts = {f"{severity}s": examined.count(severity) for severity in Severity}
    return msgspec.json.encode({"routes": len(examined.compiled.verdicts), **counts, "problems": problems})
