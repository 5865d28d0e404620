"""Rules that the API server evaluates alone say what the compiler says, for every provider and every combination."""

from itertools import product
from typing import Any

import cel
import pytest

from eventroute.compile import Problem, Reason
from eventroute.compile.sinks import KINDS
from eventroute.crd.rules import Rule, exactly_one
from eventroute.crd.v1alpha1 import SINK_KINDS, EventRouteSpec, Sink, Strict
from eventroute.schemes import SCHEMES
from support.specs import verdict_on

JUDGED_EARLY = {
    Reason.SECRET_REF_MISSING,
    Reason.UNAUTHENTICATED,
    Reason.PUBLIC_URL_MISSING,
    Reason.TOLERANCE_WITHOUT_TIMESTAMP,
    Reason.STRENGTH_TOO_WEAK,
    Reason.DUPLICATE_SINK,
}
CUSTOM = {
    "custom, body signed": {"signature": "header:x-signature"},
    "custom, URL signed": {"signature": "header:x-signature", "signed": ["url", "body"]},
    "custom, timestamp signed": {
        "signature": "header:x-signature",
        "signed": ["timestamp", "body"],
        "timestamp": "header:x-time",
    },
    "custom, open": {"kind": "none"},
    "custom, shows a token": {
        "signature": "header:x-signature",
        "handshake": [
            {"method": "GET", "echo": "query:challenge"},
            {"method": "GET", "when": [{"source": "query:mode"}, {"source": "query:token", "verifyToken": True}]},
        ],
    },
}
OPTIONAL: dict[str, Any] = {
    "secretRefs": [{"name": "hook", "key": "secret"}],
    "verifyTokenRef": {"name": "hook", "key": "verify-token"},
    "allowUnauthenticated": True,
    "tolerance": "5m",
    "publicURL": "https://hooks.example.com/hooks/a/b",
    "requireStrength": "verified",
}


def holds(rule: Rule, spec: dict[str, Any]) -> bool:
    """Evaluate as the API server does, without the limits that we have for what teams write."""
    return cel.compile(rule.cel).execute({"self": spec}) is True


def _combinations() -> list[dict[str, Any]]:
    return [
        {name: OPTIONAL[name] for name, is_set in zip(OPTIONAL, chosen, strict=True) if is_set}
        for chosen in product((False, True), repeat=len(OPTIONAL))
    ]


@pytest.mark.parametrize("provider", [*SCHEMES, *CUSTOM])
def test_early_rules_break_exactly_where_the_compiler_has_a_reason(provider: str) -> None:
    scheme = {"provider": "custom", "custom": CUSTOM[provider]} if provider in CUSTOM else {"provider": provider}
    for extra in (*_combinations(), {"secretRefs": []}, {"allowUnauthenticated": False}):
        spec = {**scheme, **extra}
        problems = verdict_on(spec)
        assert all(isinstance(problem, Problem) for problem in problems), problems
        found = {(problem.reason, problem.field) for problem in problems if isinstance(problem, Problem)}
        broken = [rule.message for rule in EventRouteSpec.early_rules if not holds(rule, spec)]
        assert {reason for reason, _ in found} <= JUDGED_EARLY
        assert len(broken) == len(found), (spec, broken, found)


def test_only_the_compiler_knows_what_a_declared_scheme_proves() -> None:
    custom = {"kind": "token", "signature": "header:x-token"}
    spec = {"provider": "custom", "custom": custom, "requireStrength": "verified", "secretRefs": OPTIONAL["secretRefs"]}
    assert [problem.reason for problem in verdict_on(spec) if isinstance(problem, Problem)] == [
        Reason.STRENGTH_TOO_WEAK
    ]
    assert all(holds(rule, spec) for rule in EventRouteSpec.early_rules)


SINKS: dict[str, dict[str, Any]] = {
    "log": {"log": {}},
    "log called after a stream": {"name": "stream-results", "log": {}},
    "stream": {"stream": {}},
    "stream by its default name": {"stream": {"name": "results"}},
    "another stream": {"stream": {"name": "others"}},
    "stream called log": {"name": "log", "stream": {}},
    "slack": {"slack": {"urlRef": {"name": "hook", "key": "secret"}}},
    "slack by an app": {"slack": {"tokenRef": {"name": "hook", "key": "secret"}, "channel": "C024BE91L"}},
    "github": {"github": {"tokenRef": {"name": "hook", "key": "secret"}, "comment": {}}},
    "log called github": {"name": "github", "log": {}},
    "stream called slack": {"name": "slack", "stream": {}},
    "stream of its own name": {"name": "own", "stream": {}},
}


@pytest.mark.parametrize(("one", "other"), list(product(SINKS, repeat=2)))
def test_names_of_sinks_clash_for_both_or_for_none(one: str, other: str) -> None:
    spec = {"provider": "github", "secretRefs": OPTIONAL["secretRefs"], "sinks": [SINKS[one], SINKS[other]]}
    problems = [problem.reason for problem in verdict_on(spec) if isinstance(problem, Problem)]
    assert problems in ([], [Reason.DUPLICATE_SINK])
    assert all(holds(rule, spec) for rule in EventRouteSpec.early_rules) is (not problems)


def test_the_second_of_two_sinks_with_one_name_is_named() -> None:
    sinks = [SINKS["log"], SINKS["stream called log"]]
    spec = {"provider": "github", "secretRefs": OPTIONAL["secretRefs"], "sinks": sinks}
    (problem,) = verdict_on(spec)
    assert isinstance(problem, Problem)
    assert (problem.field, problem.message.partition(": ")[2]) == (
        "spec.sinks[1].name",
        'sinks[1].name: sinks[0] is called "log" too; give each a name of its own',
    )


def test_rules_stand_with_their_models() -> None:
    assert {model.__name__ for model in Strict.__subclasses__() if model.rules} >= {
        *("EventRouteSpec", "Prompt", "History", "Sink", "GithubSink", "SlackSink"),
    }


def test_every_kind_of_sink_is_one_of_those_that_exclude_each_other() -> None:
    kinds = [kind for kind in Sink.model_fields if kind not in {"name", "when", "message"}]
    assert exactly_one(*kinds) in Sink.rules
    assert tuple(kinds) == SINK_KINDS == tuple(KINDS)


def test_messages_of_rules_are_sentences_for_people() -> None:
    for model in Strict.__subclasses__():
        for rule in (*model.rules, *model.early_rules):
            assert 10 < len(rule.message) < 120
            assert "self." not in rule.message
