"""What is judged of any Secret that a route refers to."""

from collections.abc import Iterator

from eventroute.compile.gathered import Found, Gathered
from eventroute.compile.verdict import Problem, Reason, Severity
from eventroute.schemes import Scheme, lint_key
from eventroute.secret import Secret


def lint_secret(gathered: Gathered, scheme: Scheme, found: Found[Secret]) -> Iterator[Problem]:
    """Judge what signatures are made with, or verified."""
    yield from gathered.absent(found)
    if isinstance(found.value, Secret) and (problem := lint_key(scheme, found.value.reveal())):
        severity = Severity.WARNING if problem.is_for_trials else Severity.ERROR
        yield gathered.problem(Reason(problem.reason.value), found.field, problem.message, severity=severity)


def lint_text(gathered: Gathered, found: Found[Secret], what: str) -> Iterator[Problem]:
    """Judge a text that is sent as it is.

    what  as people call it
    """
    yield from gathered.absent(found)
    if isinstance(found.value, Secret):
        text = found.value.reveal()
        if not text.strip():
            yield gathered.problem(Reason.SECRET_EMPTY, found.field, f"{what} is empty")
        elif text != text.strip():
            message = f"{what} begins or ends with white space, often the newline of `echo`"
            yield gathered.problem(Reason.SECRET_HAS_WHITESPACE, found.field, message)
