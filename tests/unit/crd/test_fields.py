"""What a manifest may say: unknown fields, wrong types and values out of bounds are refused with their path."""

from typing import Any

import pytest

from eventroute.crd.manifest import parse_manifests
from eventroute.crd.validate import MAX_MISTAKES, Mistake, parse_route
from support.routes import manifest, mistakes


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"suspended": True}, "spec.suspended", 'unknown field; did you mean "suspend"?'),
        ({"prompts": [{}, {"modle": {}}]}, "spec.prompts[1].modle", 'unknown field; did you mean "model"?'),
        ({"model": {"max_tokens": 5}}, "spec.model.max_tokens", 'unknown field; did you mean "maxTokens"?'),
        ({"publicUrl": "https://x"}, "spec.publicUrl", 'unknown field; did you mean "publicURL"?'),
        ({"sinks": [{"stream": {"nam": "x"}}]}, "spec.sinks[0].stream.nam", 'unknown field; did you mean "name"?'),
        ({"budget": {"usd": "1", "days": 1}}, "spec.budget.days", "unknown field"),
        ({"concurrency": {"workers": 5}}, "spec.concurrency.workers", "unknown field"),
    ],
)
def test_an_unknown_field_is_refused_with_its_path(spec: dict[str, Any], field: str, message: str) -> None:
    assert mistakes(**spec) == (Mistake(field, message, unknown_field=True),)


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"provider": None}, "spec.provider", "must be a text"),
        ({"provider": "GitHub"}, "spec.provider", "must match"),
        ({"suspend": True}, "spec.suspend", "must be an object with mode"),
        ({"budget": 20}, "spec.budget", "must be an object with period, usd, tokens, warnAt, onExceeded"),
        ({"secretRefs": ["hook"]}, "spec.secretRefs[0]", "must be an object with name, key"),
        (
            {"model": "claude"},
            "spec.model",
            "must be an object with name, thinking, effort, maxTokens, timeout, cache, …",
        ),
        ({"sinks": [{"log": True}]}, "spec.sinks[0].log", "must be an object without fields: {}"),
        ({"budget": {"usd": "20 EUR"}}, "spec.budget.usd", 'must be an amount of US dollars, in digits, such as "20"'),
        ({"budget": {"usd": 20}}, "spec.budget.usd", 'must be a text, in quotes: "20"'),
        ({"filter": True}, "spec.filter", "must be a text, in quotes: YAML reads a bare on, yes or y as true"),
        ({"entity": False}, "spec.entity", "must be a text, in quotes: YAML reads a bare off, no or n as false"),
        (
            {"model": {"thinking": False}},
            "spec.model.thinking",
            "must be 'auto' or 'off', in quotes: YAML reads a bare off as false",
        ),
        (
            {"model": {"cache": False}},
            "spec.model.cache",
            "must be 'auto', 'off', '5m' or '1h', in quotes: YAML reads a bare off as false",
        ),
        ({"suspend": {"mode": False}}, "spec.suspend.mode", "must be 'hold' or 'drop'"),
        ({"suspend": {}}, "spec.suspend.mode", "is required"),
        ({"suspend": {"mode": "stop"}}, "spec.suspend.mode", "must be 'hold' or 'drop'"),
        ({"maxBodyBytes": "1Mi"}, "spec.maxBodyBytes", "must be a valid integer"),
        ({"maxBodyBytes": 26_214_401}, "spec.maxBodyBytes", "must be less than or equal to 26214400"),
        ({"maxBodyBytes": 1}, "spec.maxBodyBytes", "must be greater than or equal to 1024"),
        ({"secretRefs": [{"name": "a"}]}, "spec.secretRefs[0].key", "is required"),
        (
            {"secretRefs": [{"name": "A_b", "key": "k"}]},
            "spec.secretRefs[0].name",
            "must be a name as Kubernetes has them",
        ),
        ({"secretRefs": [{"name": "a", "key": "k"}] * 5}, "spec.secretRefs", "must have at most 4 items"),
        ({"prompts": []}, "spec.prompts", "must have at least 1 item"),
        ({"prompts": [{}] * 33}, "spec.prompts", "must have at most 32 items"),
        ({"prompts": [{"events": []}]}, "spec.prompts[0].events", "must have at least 1 item"),
        ({"prompts": [{"system": "x" * 32_769}]}, "spec.prompts[0].system", "at most 32768 characters"),
        (
            {"prompts": [{"system": "x", "systemFrom": {"name": "a", "key": "b"}}]},
            "spec.prompts[0]",
            "set either system",
        ),
        ({"prompts": [{"user": "x", "userFrom": {"name": "a", "key": "b"}}]}, "spec.prompts[0]", "set either user"),
        ({"filter": "x" * 1025}, "spec.filter", "at most 1024 characters"),
        ({"filter": ""}, "spec.filter", "at least 1 character"),
        ({"rateLimit": {"perSecond": 0, "burst": 1}}, "spec.rateLimit.perSecond", "must be greater than 0"),
        ({"rateLimit": {"perSecond": 1}}, "spec.rateLimit.burst", "is required"),
        ({"model": {"maxTokens": 0}}, "spec.model.maxTokens", "greater than or equal to 1"),
        ({"model": {"name": "claude haiku"}}, "spec.model.name", "must match"),
        ({"model": {"timeout": "11m"}}, "spec.model.timeout", "must be between 1s and 10m"),
        ({"model": {"timeout": 120}}, "spec.model.timeout", 'must be a text, in quotes: "120"'),
        ({"tolerance": "1.5m"}, "spec.tolerance", "must be a duration such as"),
        ({"tolerance": "0s"}, "spec.tolerance", "must be between 1s and 24h"),
        ({"retry": {"deadline": "8d"}}, "spec.retry.deadline", "must be a duration such as"),
        ({"retry": {"attempts": 21}}, "spec.retry.attempts", "less than or equal to 20"),
        ({"requireStrength": "strong"}, "spec.requireStrength", "must be 'authenticated' or 'verified'"),
        ({"publicURL": "hooks.example.com"}, "spec.publicURL", "must be a URL with scheme and host"),
        ({"publicURL": "https://a b"}, "spec.publicURL", "must be a URL with scheme and host"),
        ({"provider": "custom"}, "spec", "custom is required with provider custom"),
        ({"custom": {"kind": "none"}}, "spec", "custom is required with provider custom"),
        ({"history": {}}, "spec", "history needs entity"),
        ({"entity": "event", "history": {"keep": 5}}, "spec.history", "inject must not exceed keep"),
        ({"sinks": []}, "spec.sinks", "must have at least 1 item"),
        ({"sinks": [{}]}, "spec.sinks[0]", "set exactly one of github, http, log, postgres, route, slack and stream"),
        (
            {"sinks": [{"log": {}, "stream": {}}]},
            "spec.sinks[0]",
            "set exactly one of github, http, log, postgres, route, slack and stream",
        ),
        ({"sinks": [{"slack": {}}]}, "spec.sinks[0].slack", "set exactly one of urlRef and tokenRef"),
        ({"sinks": [{"github": {"comment": {}}}]}, "spec.sinks[0].github", "set exactly one of tokenRef and app"),
        (
            {"sinks": [{"github": {"tokenRef": {"name": "a", "key": "b"}}}]},
            "spec.sinks[0].github",
            "set exactly one of comment, reply, labels and checkRun",
        ),
        (
            {"sinks": [{"github": {"tokenRef": {"name": "a", "key": "b"}, "checkRun": {"name": "claude"}}}]},
            "spec.sinks[0].github",
            "checkRun needs app; GitHub takes check runs from Apps only",
        ),
        (
            {"sinks": [{"github": {"tokenRef": {"name": "a", "key": "b"}, "comment": {}, "number": "7"}}]},
            "spec.sinks[0].github",
            "set both of repository and number, or neither",
        ),
        (
            {
                "sinks": [
                    {
                        "github": {
                            "tokenRef": {"name": "a", "key": "b"},
                            "reply": {},
                            "number": "7",
                            "repository": "northwind/checkout",
                        }
                    }
                ]
            },
            "spec.sinks[0].github",
            "repository is for comment and labels",
        ),
        (
            {
                "sinks": [
                    {"message": "x", "github": {"tokenRef": {"name": "a", "key": "b"}, "labels": {"names": ["bug"]}}}
                ]
            },
            "spec.sinks[0]",
            "message is not for labels",
        ),
        (
            {"sinks": [{"github": {"repository": "northwind/.."}}]},
            "spec.sinks[0].github.repository",
            "must be a repository, as owner/name",
        ),
        (
            {"sinks": [{"github": {"baseURL": "https://ghe.example.com/api/v3/"}}]},
            "spec.sinks[0].github.baseURL",
            "without a slash at its end",
        ),
        (
            {"sinks": [{"slack": {"urlRef": {"name": "a", "key": "b"}, "channel": "C024BE91L"}}]},
            "spec.sinks[0].slack",
            "channel needs tokenRef; an incoming webhook has its own one",
        ),
        ({"sinks": [{"slack": {"channel": "#general"}}]}, "spec.sinks[0].slack.channel", "must be an id, as Slack"),
        ({"sinks": [{"postgres": {}}]}, "spec.sinks[0].postgres.urlRef", "is required"),
        (
            {"sinks": [{"postgres": {"urlRef": {"name": "a", "key": "b"}, "table": 'x"; DROP TABLE y'}}]},
            "spec.sinks[0].postgres.table",
            "must be a name that PostgreSQL takes without quotes, in lower case: answers, or team.answers",
        ),
        (
            {"sinks": [{"postgres": {"urlRef": {"name": "a", "key": "b"}, "notify": "New"}}]},
            "spec.sinks[0].postgres.notify",
            "must be a name that PostgreSQL takes without quotes, in lower case: new_answers",
        ),
        ({"sinks": [{"log": None}]}, "spec.sinks[0].log", "must not be null"),
        ({"filter": None}, "spec.filter", "must not be null; leave the field out"),
        ({"model": {"apiKeyRef": None}}, "spec.model.apiKeyRef", "must not be null"),
        ({"sinks": [{"stream": {"name": "a:b"}}]}, "spec.sinks[0].stream.name", "must match"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(spec: dict[str, Any], field: str, message: str) -> None:
    found = mistakes(**spec)
    assert [mistake.field for mistake in found] == [field]
    assert message in found[0].message


@pytest.mark.parametrize(("bare", "read"), [("on", "true"), ("no", "false")])
def test_a_field_whose_name_became_a_boolean_is_told_so(bare: str, read: str) -> None:
    (found,) = parse_manifests(MANIFEST.format(bare=bare)).problems
    assert found.field == f"spec.{read}"
    assert "unknown field; if it is called otherwise, write its name in quotes: YAML reads a bare" in found.message


def test_a_word_of_an_enum_that_became_a_boolean_is_named_as_it_was_written() -> None:
    (found,) = parse_manifests(MANIFEST.format(bare="model: {thinking: off}\n  suspend")).problems[:1]
    assert (found.field, found.line) == ("spec.model.thinking", 6)
    assert found.message == "must be 'auto' or 'off', in quotes: YAML reads a bare off as false"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"apiVersion": "eventroute.dev/v1"}, "apiVersion"),
        ({"kind": "Route"}, "kind"),
        ({"metadata": {}}, "metadata.name"),
        ({"metadata": {"name": "Up"}}, "metadata.name"),
        ({"metadata": {"name": "a/b"}}, "metadata.name"),
        ({"metadata": {"name": "a", "labels": {"live": True}}}, "metadata.labels.live"),
        ({"metadata": {"name": "a", "annotations": {"ticket": 83}}}, "metadata.annotations.ticket"),
        ({"metadata": {"name": "a", "namespace": "a.b"}}, "metadata.namespace"),
        ({"spec": None}, "spec"),
        ({"spce": {}}, "spce"),
    ],
)
def test_the_object_around_the_spec_is_checked_too(change: dict[str, Any], field: str) -> None:
    found = parse_route({**manifest(), **change})
    assert isinstance(found, tuple)
    assert [mistake.field for mistake in found] == [field]


def test_what_kubernetes_adds_is_let_through() -> None:
    metadata = {"name": "a", "namespace": "b", "uid": "u", "generation": 3, "labels": {"a": "b"}, "managedFields": []}
    assert not isinstance(parse_route({**manifest(), "metadata": metadata, "status": {"conditions": []}}), tuple)


def test_labels_that_are_null_are_none() -> None:
    assert not isinstance(parse_route({**manifest(), "metadata": {"name": "a", "labels": None}}), tuple)


def test_all_mistakes_are_told_up_to_a_limit() -> None:
    assert len(mistakes(suspend=1, filter=2, entity=3)) == 3
    assert len(mistakes(**{f"x{number}": 1 for number in range(100)})) == MAX_MISTAKES


@pytest.mark.parametrize("value", [object(), {1: {2: object()}}, float("nan"), "\ud800"])
def test_what_json_cannot_say_is_a_mistake_and_no_exception(value: object) -> None:
    assert isinstance(parse_route({**manifest(), "spec": {"provider": value}}), tuple)


@pytest.mark.parametrize("duration", ["90s", "2m", "1m30s", "10m"])
def test_durations_are_written_as_kubernetes_writes_them(duration: str) -> None:
    assert mistakes(model={"timeout": duration}) == ()


MANIFEST = """\
apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {{name: triage}}
spec:
  provider: github
  {bare}: {{}}
"""
