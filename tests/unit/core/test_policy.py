"""What the platform's owner allows: of a call, and of which namespace."""

import pytest

from eventroute.crd.v1alpha1 import Budget
from eventroute.errors import Refused
from eventroute.models import Effort, Model
from eventroute.outbound import Blocked, OutboundRules, Rule, read_url
from eventroute.policy import Allowance, Policy

KNOWN = Model(efforts=("low", "medium", "high", "xhigh", "max"))
WITHOUT = Model(efforts=())
UNKNOWN = Model()


def said(
    allowance: Allowance, name: str = "m", model: Model = KNOWN, *, tokens: int = 1, effort: Effort | None = "low"
) -> str:
    return "; ".join(allowance.violations(name=name, model=model, max_tokens=tokens, effort=effort))


def test_nothing_said_allows_anything() -> None:
    assert said(Policy(), tokens=10**9, effort="max", model=UNKNOWN) == ""


@pytest.mark.parametrize(
    ("patterns", "name", "is_allowed"),
    [
        (("claude-haiku-5-5",), "claude-haiku-5-5", True),
        (("claude-haiku-4-5",), "claude-haiku-4-5-20251001", True),
        (("claude-haiku-4-5-20251001",), "claude-haiku-4-5", False),
        (("claude-haiku-5",), "claude-haiku-5-5", False),
        (("a", "claude-haiku-*"), "claude-haiku-5-5", True),
        (("claude-haiku-*",), "claude-sonnet-5-5", False),
        (("*",), "anything", True),
    ],
)
def test_models_are_allowed_by_name_without_date_or_beginning(
    patterns: tuple[str, ...], name: str, *, is_allowed: bool
) -> None:
    allowance = Allowance(max_tokens=100, effort="medium")
    assert said(allowance, tokens=100, effort="medium") == ""
    assert said(allowance, tokens=101) == "maxTokens 101 is more than the 100 that are allowed"
    assert said(allowance, effort="high") == "effort high is higher than medium, which is allowed"


def test_an_effort_that_nobody_knows_has_to_be_said() -> None:
    allowance = Allowance(effort="medium")
    assert said(allowance, "m", WITHOUT, effort=None) == ""
    assert said(allowance, "m", UNKNOWN, effort=None).startswith("nobody knows how thoroughly m works unless told")
    assert said(allowance, "m", UNKNOWN, effort="low") == ""


def reached(policy: Policy, namespace: str, host: str) -> bool:
    rules = policy.of(namespace).narrow(OutboundRules(private_hosts=("pg.db.svc",)))
    try:
        return read_url(f"https://{host}/", rules).endpoint.host == host
    except Blocked as blocked:
        return blocked.rule is not Rule.HOST


def test_hosts_of_urls_are_allowed_by_namespace_and_any_where_nothing_is_said() -> None:
    policy = Policy.parse(
        "allowedHosts: [hooks.slack.com]\n"
        "namespaces: {team: {allowedHosts: ['*.example.com']}, other: {maxTokens: 5}}\n"
    )
    hosts = ("hooks.slack.com", "a.example.com", "pg.db.svc")
    assert [reached(policy, "any", host) for host in hosts] == [True, False, True]
    assert [reached(policy, "other", host) for host in hosts] == [True, False, True]
    assert [reached(policy, "team", host) for host in hosts] == [False, True, True]
    assert [reached(Policy(), "team", host) for host in hosts] == [True, True, True]
    with pytest.raises(Refused, match=r"allowedHosts\.0: String should match pattern"):
        Policy.parse("allowedHosts: ['https://hooks.slack.com']")


def test_what_a_namespace_says_takes_the_place_of_what_is_said_for_all() -> None:
    policy = Policy(
        models=("a",), max_tokens=100, effort="low", namespaces={"team": Allowance(max_tokens=50, effort="max")}
    )
    assert policy.of("other") is policy
    assert policy.of("team") == Allowance(models=("a",), max_tokens=50, effort="max")


def test_a_budget_is_of_the_namespace_or_of_the_installation_and_an_empty_one_is_none() -> None:
    policy = Policy.parse('{budget: {usd: "500"}, namespaces: {team: {budget: {tokens: 9}}, other: {budget: {}}}}')
    assert (policy.budget, policy.namespaces["team"].budget) == (Budget(usd="500"), Budget(tokens=9))
    assert policy.namespaces["other"].budget is None


@pytest.mark.parametrize("said", ["{period: 24h}", "{usd: 5}", '{usd: "0"}', "{tokens: 0}", '{usd: "1", per: day}'])
def test_a_budget_is_as_strict_as_a_routes(said: str) -> None:
    with pytest.raises(Refused, match="budget"):
        Policy.parse(f"budget: {said}")
