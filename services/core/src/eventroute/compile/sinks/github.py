"""The `github` sink: who writes, and where."""

import re
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from eventroute.compile.gathered import Found, value_of
from eventroute.compile.secrets import lint_text
from eventroute.compile.sinks.judged import Judged, Kind, Written
from eventroute.compile.verdict import Problem, Reason
from eventroute.crd import v1alpha1 as crd
from eventroute.route_table import (
    GithubApp,
    GithubCheckRun,
    GithubComment,
    GithubLabels,
    GithubReply,
    GithubSink,
    GithubTarget,
    GithubToken,
)
from eventroute.secret import Secret
from eventroute.template import VARIABLES

_TOKEN: Final = re.compile(rb"github_pat_[A-Za-z0-9_]{20,}|gh[opu]_[A-Za-z0-9_]{20,}|[0-9a-f]{40}")
_OF_AN_HOUR: Final = re.compile(rb"ghs_[!-~]+")
_KEY_BITS: Final = 2048

_OTHER_TEXT: Final = "this is not a personal access token, `github_pat_…` or `ghp_…`: see Developer settings at GitHub"
_ENDS_SOON: Final = "this token of an installation ends within the hour; set app, which gets a new one each time"
_OTHER_PEM: Final = "this is no private key of an App: store the whole PEM file that GitHub made, unencrypted"


def _check(judged: Judged[crd.GithubSink]) -> Iterator[Problem]:
    for field, found in judged.secrets.items():
        yield from _check_token(judged, field, found) if field == "tokenRef" else _check_key(judged, field, found)
    yield from _check_place(judged)


def _check_token(judged: Judged[crd.GithubSink], field: str, found: Found[Secret]) -> Iterator[Problem]:
    problems = list(lint_text(judged.gathered, found, "the token"))
    yield from problems
    if isinstance(found.value, Secret) and not problems:
        token = found.value.reveal()
        if _OF_AN_HOUR.fullmatch(token):
            yield judged.problem(Reason.SECRET_WRONG_TYPE, field, _ENDS_SOON)
        elif not _TOKEN.fullmatch(token):
            yield judged.problem(Reason.SECRET_WRONG_TYPE, field, _OTHER_TEXT)


def _check_key(judged: Judged[crd.GithubSink], field: str, found: Found[Secret]) -> Iterator[Problem]:
    yield from judged.gathered.absent(found)
    if isinstance(found.value, Secret) and not _is_rsa(found.value.reveal()):
        yield judged.problem(Reason.SECRET_WRONG_TYPE, field, _OTHER_PEM)


def _is_rsa(pem: bytes) -> bool:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, RSAPrivateKey) and key.key_size >= _KEY_BITS


def _check_place(judged: Judged[crd.GithubSink]) -> Iterator[Problem]:
    provider, own = judged.gathered.spec.provider, judged.own
    if provider == "github" or own.repository:
        return
    if own.comment or own.labels:
        message = f"events of {provider} are about nothing at GitHub; set repository and number"
        yield judged.problem(Reason.TARGET_MISSING, "repository", message)
    else:
        field = "reply" if own.reply else "checkRun"
        message = (
            f"events of {provider} come from no review or commit at GitHub; use comment, with repository and number"
        )
        yield judged.problem(Reason.TARGET_MISSING, field, message)


def _templates(own: crd.GithubSink) -> Iterator[Written]:
    if own.number is not None:
        yield Written("number", own.number, VARIABLES)
    if own.labels and own.labels.pick is not None:
        yield Written("labels.pick", own.labels.pick)


def _urls(judged: Judged[crd.GithubSink]) -> Iterator[tuple[str, str]]:
    yield f"{judged.field}.baseURL", judged.own.base_url


def _entry(judged: Judged[crd.GithubSink]) -> GithubSink:
    own = judged.own
    (secret,) = map(value_of, judged.secrets.values())
    app = own.app
    return GithubSink(
        name=judged.name,
        when=judged.sink.when,
        message=judged.sink.message,
        base_url=own.base_url,
        by=GithubApp(id=app.id, installation=app.installation_id, private_key=secret)
        if app
        else GithubToken(token=secret),
        write=_write(own),
        target=GithubTarget(repository=own.repository, number=own.number) if own.repository and own.number else None,
    )


def _write(own: crd.GithubSink) -> GithubComment | GithubReply | GithubLabels | GithubCheckRun:
    if own.labels:
        return GithubLabels(names=own.labels.names, pick=own.labels.pick)
    if own.check_run:
        return GithubCheckRun(name=own.check_run.name, conclusion=own.check_run.conclusion)
    return GithubComment(update=own.comment.update) if own.comment else GithubReply()


GITHUB: Final = Kind(_entry, _check, _urls, _templates)
