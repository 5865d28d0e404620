"""Settings from the environment, as the chart sets them."""

import pytest

from eventroute.errors import Refused
from eventroute.policy import Policy
from eventroute_operator.settings import OperatorSettings

NEEDED = {
    "EVENTROUTE_OPERATOR_REDIS_URL": "redis://redis:6379/0",
    "EVENTROUTE_OPERATOR_RECEIVER_TABLE_KEY": "a",
    "EVENTROUTE_OPERATOR_WORKER_TABLE_KEY": "b",
}


def load(**more: str) -> OperatorSettings:
    return OperatorSettings.load({**NEEDED, **{f"EVENTROUTE_OPERATOR_{name}": value for name, value in more.items()}})


def test_without_more_than_is_needed_everything_is_watched() -> None:
    settings = load()
    assert settings.namespaces == ()
    assert settings.secret_labels == {}
    assert settings.scaling == "none"


@pytest.mark.parametrize("text", ["", " ", ","])
def test_an_empty_list_is_no_list(text: str) -> None:
    assert load(NAMESPACES=text).namespaces == ()


def test_lists_have_commas_between() -> None:
    settings = load(NAMESPACES="team-a, team-b", AUTOSCALERS="receiver,worker", SECRET_LABELS="a.b/c=d,e=")
    assert settings.namespaces == ("team-a", "team-b")
    assert settings.autoscalers == ("receiver", "worker")
    assert settings.secret_labels == {"a.b/c": "d", "e": ""}


def test_a_policy_is_json_as_the_chart_writes_it() -> None:
    assert load().policy == Policy()
    assert load(POLICY='{"models":[],"maxTokens":0,"effort":"","namespaces":{}}').policy == Policy()
    policy = load(POLICY='{"maxTokens":2e3,"namespaces":{"team-a":{"effort":"high"}}}').policy
    assert (policy.max_tokens, policy.of("team-a").effort, policy.of("team-b").effort) == (2000, "high", "")


@pytest.mark.parametrize(
    "text", ["", "{", '{"modles":[]}', '{"effort":"most"}', '{"models":["a*b"]}', '{"maxTokens":-1}']
)
def test_a_policy_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="POLICY"):
        load(POLICY=text)


@pytest.mark.parametrize("labels", ["a in (b)", "a!=b", "a", "=b"])
def test_a_selector_that_is_not_understood_is_refused(labels: str) -> None:
    with pytest.raises(Refused, match="SECRET_LABELS"):
        load(SECRET_LABELS=labels)


def test_secrets_do_not_print() -> None:
    assert "redis:6379" not in repr(load())
