"""The `http` sink: its secrets are keys of Standard Webhooks."""

from collections.abc import Iterator
from typing import Final

from eventroute.compile.gathered import value_of
from eventroute.compile.secrets import lint_secret
from eventroute.compile.sinks.judged import Judged, Kind
from eventroute.compile.verdict import Problem
from eventroute.crd import v1alpha1 as crd
from eventroute.crd.duration import seconds
from eventroute.route_table import HttpSink
from eventroute.schemes import SCHEMES


def _check(judged: Judged[crd.HttpSink]) -> Iterator[Problem]:
    for found in judged.secrets.values():
        yield from lint_secret(judged.gathered, SCHEMES["standard-webhooks"], found)


def _urls(judged: Judged[crd.HttpSink]) -> Iterator[tuple[str, str]]:
    yield f"{judged.field}.url", judged.own.url


def _entry(judged: Judged[crd.HttpSink]) -> HttpSink:
    return HttpSink(
        name=judged.name,
        when=judged.sink.when,
        message=judged.sink.message,
        url=judged.own.url,
        secrets=tuple(map(value_of, judged.secrets.values())),
        timeout_s=float(seconds(judged.own.timeout)),
    )


HTTP: Final = Kind(_entry, _check, _urls)
