"""The `postgres` sink: a URL of which nothing but a place, a login and TLS is taken."""

from collections.abc import Iterator
from typing import Final

from eventroute.compile.gathered import value_of
from eventroute.compile.secrets import lint_text
from eventroute.compile.sinks.judged import Judged, Kind
from eventroute.compile.verdict import Problem, Reason
from eventroute.crd import v1alpha1 as crd
from eventroute.errors import Refused
from eventroute.outbound import Database, parse_database
from eventroute.route_table import PostgresSink
from eventroute.secret import Secret


def _check(judged: Judged[crd.PostgresSink]) -> Iterator[Problem]:
    for field, found in judged.secrets.items():
        problems = list(lint_text(judged.gathered, found, "the database's URL"))
        yield from problems
        if isinstance(found.value, Secret) and not problems:
            read = _read(found.value)
            if isinstance(read, Refused):
                yield judged.problem(Reason.SECRET_WRONG_TYPE, field, str(read))


def _urls(judged: Judged[crd.PostgresSink]) -> Iterator[tuple[str, str]]:
    for found in judged.secrets.values():
        if isinstance(found.value, Secret) and isinstance(_read(found.value), Database):
            yield found.field, found.value.reveal().decode()


def _read(url: Secret) -> Database | Refused:
    try:
        return parse_database(url.reveal().decode())
    except UnicodeDecodeError:
        return Refused("the URL is not UTF-8")
    except Refused as refused:
        return refused


def _entry(judged: Judged[crd.PostgresSink]) -> PostgresSink:
    (url,) = map(value_of, judged.secrets.values())
    own = judged.own
    return PostgresSink(
        name=judged.name,
        when=judged.sink.when,
        message=judged.sink.message,
        url=url,
        table=own.table,
        notify=own.notify,
    )


POSTGRES: Final = Kind(_entry, _check, _urls)
