"""What is wrong with some manifests, from the file's syntax to the route's secrets, each with the line to look at.

`eventroute lint` prints it; `eventroute dev` shows it and serves what it can. Decides nothing itself: reading is
`eventroute.crd.manifest`, judging is `eventroute.compile`.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from eventroute.compile import Compiled, Problem, Severity, compile_routes, scheme_of
from eventroute.crd.envfile import parse_env_file
from eventroute.crd.manifest import Manifests, Origin, load_manifests
from eventroute.crd.objects import ObjectKey
from eventroute.errors import Refused
from eventroute.event_names import EventNames
from eventroute.ids import route_path
from eventroute.models import Models
from eventroute.policy import Policy
from eventroute.schemes import fetches_keys
from eventroute.secret import Secret

MAX_ENV_FILE_BYTES: Final = 1_048_576


class Finding(NamedTuple):
    """One problem and where it is."""

    file: str
    line: int
    """From 1; 0 where the file as a whole is meant."""
    severity: Severity
    reason: str
    """Stable: of `eventroute.crd.manifest.ManifestReason` or `eventroute.compile.Reason`."""
    message: str
    field: str = ""
    route: str = ""
    """`<namespace>/<name>` where the manifest is readable enough to have one."""


class Examined(NamedTuple):
    """Everything that the manifests gave."""

    compiled: Compiled
    findings: tuple[Finding, ...]
    """By file, in the order given, and line."""

    @property
    def errors(self) -> int:
        """How many findings keep a route from being served."""
        return self.count(Severity.ERROR)

    def count(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return sum(finding.severity is severity for finding in self.findings)


def examine(
    paths: Iterable[Path],
    *,
    recursive: bool = False,
    env_file: Path | None = None,
    with_secrets: bool = True,
    models: Path | None = None,
    policy: Path | None = None,
) -> Examined:
    """Read and compile the manifests of files and directories.

    env_file      secrets as `NAMESPACE/NAME/KEY=value` lines; they win over those of manifests
    with_secrets  False = Secrets and ConfigMaps that are not in the manifests are not at hand: references are notes
    models        what is known of models over what is built in, a file of the form of `eventroute/models.json`
    policy        what the platform's owner allows, a file of the form of `eventroute.policy`; None = anything
    raises        `Refused` when one of these two is wrong
    """
    manifests = load_manifests(paths, recursive=recursive)
    env_secrets, env_findings = _read_env_file(env_file) if env_file else ({}, ())
    secrets = {secret.key: secret.data for secret in manifests.secrets}
    for key, data in env_secrets.items():
        secrets[key] = {**secrets.get(key, {}), **data}
    config_maps = {config_map.key: config_map.data for config_map in manifests.config_maps}
    compiled = compile_routes(
        [found.route for found in manifests.routes],
        secrets=secrets,
        config_maps=config_maps,
        complete=with_secrets,
        models=Models.load(models),
        today=dt.datetime.now(dt.UTC).date(),
        policy=_read_policy(policy) if policy else None,
        events=EventNames.load(),
    )
    findings = [*_of_files(manifests), *env_findings, *_of_routes(manifests, compiled), *_of_keys(manifests)]
    if not manifests.routes and not findings:
        findings = [Finding("", 0, Severity.ERROR, "NoRoutes", "no EventRoute in these files")]
    order = {file: position for position, file in enumerate(dict.fromkeys(finding.file for finding in findings))}
    findings.sort(key=lambda finding: (order[finding.file], finding.line))
    return Examined(compiled, tuple(findings))


def _of_files(manifests: Manifests) -> Iterator[Finding]:
    for problem in manifests.problems:
        severity = Severity.NOTE if problem.is_note else Severity.ERROR
        message = f"{problem.field}: {problem.message}" if problem.field else problem.message
        yield Finding(problem.file, problem.line, severity, problem.reason, message, problem.field)


def _of_routes(manifests: Manifests, compiled: Compiled) -> Iterator[Finding]:
    for found, verdict in zip(manifests.routes, compiled.verdicts, strict=True):
        for problem in verdict.problems:
            yield _of_route(problem, found.origin, verdict.path)


def _of_keys(manifests: Manifests) -> Iterator[Finding]:
    """Say what nobody can judge from here: whether receivers get to where keys are fetched from."""
    for found in manifests.routes:
        scheme, route = scheme_of(found.route.spec), found.route.metadata
        if scheme and fetches_keys(scheme):
            path, field = route_path(route.namespace, route.name), "spec.provider"
            message = (
                f"route {path}: receivers fetch public keys of {scheme.name} by HTTPS and need a way out: "
                "networkPolicies.receiverFetches of the chart"
            )
            origin = found.origin
            yield Finding(origin.file, origin.line(field), Severity.NOTE, "KeysAreFetched", message, field, path)


def _of_route(problem: Problem, origin: Origin, route: str) -> Finding:
    line = origin.line(problem.field, problem.line)
    return Finding(origin.file, line, problem.severity, problem.reason, problem.message, problem.field, route)


def _read_policy(path: Path) -> Policy:
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_ENV_FILE_BYTES).decode()
        return Policy.parse(text)
    except (OSError, UnicodeDecodeError, Refused) as error:
        raise Refused(f"policy: {path}: {error}") from error


def _read_env_file(path: Path) -> tuple[dict[ObjectKey, dict[str, Secret]], Sequence[Finding]]:
    file = str(path)
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_ENV_FILE_BYTES).decode()
    except OSError as error:
        return {}, [Finding(file, 0, Severity.ERROR, "FileUnreadable", f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return {}, [Finding(file, 0, Severity.ERROR, "FileUnreadable", "is not UTF-8")]
    parsed = parse_env_file(text)
    return parsed.secrets, [
        Finding(file, mistake.line, Severity.ERROR, "InvalidLine", mistake.message) for mistake in parsed.mistakes
    ]
