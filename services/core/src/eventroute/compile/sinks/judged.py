"""One sink of a route as its kind judges it, and what a kind has to tell: see `Kind`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from eventroute.compile.gathered import Found, Gathered
from eventroute.compile.verdict import Problem, Reason, Severity
from eventroute.crd import v1alpha1 as crd
from eventroute.route_table import Sink
from eventroute.secret import Secret
from eventroute.template import MESSAGE_VARIABLES

Model = TypeVar("Model", bound=crd.Strict)


@dataclass(frozen=True, slots=True)
class Judged(Generic[Model]):
    """A sink of a route."""

    gathered: Gathered
    field: str
    """Where its kind stands, `spec.sinks[2].slack`."""
    name: str
    sink: crd.Sink
    own: Model
    """What is said of it as one of its kind."""
    secrets: Mapping[str, Found[Secret]]
    """By the field that refers to each, `urlRef` or `secretRefs[0]`."""

    def problem(self, reason: Reason, field: str, message: str, *, severity: Severity = Severity.ERROR) -> Problem:
        """Say what is wrong with one of its fields."""
        return self.gathered.problem(reason, f"{self.field}.{field}", message, severity=severity)


class Written(NamedTuple):
    """A template that a sink is written with."""

    field: str
    source: str
    variables: frozenset[str] = MESSAGE_VARIABLES
    """What it may name."""


def _nothing(_: Judged[Any]) -> Iterator[Any]:
    yield from ()


def _no_templates(_: Any) -> Iterator[Written]:
    yield from ()


@dataclass(frozen=True, slots=True)
class Kind(Generic[Model]):
    """What is particular to a kind of sink when a route is compiled."""

    entry: Callable[[Judged[Model]], Sink]
    """Writes the table entry of a sink without errors."""
    check: Callable[[Judged[Model]], Iterator[Problem]] = _nothing
    """Finds what is wrong, its Secrets included; its URLs are judged by whoever knows the outbound rules."""
    urls: Callable[[Judged[Model]], Iterator[tuple[str, str]]] = _nothing
    """Lists what it connects to, each with the field that says so: http, https or postgresql."""
    templates: Callable[[Model], Iterator[Written]] = _no_templates
    """Lists its own templates beside `message`, each with the field within the kind that it stands in."""
    default_name: Callable[[Model], str] | None = None
    """Names a sink that the manifest gives no name; None = as its kind is called."""
