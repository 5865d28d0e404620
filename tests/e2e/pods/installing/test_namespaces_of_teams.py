"""An installation that serves the namespace of a team, and not even its own."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from e2e.conftest import NewInstallation
from e2e.support.cluster import Cluster
from e2e.support.installation import GROUP, Installation, new_namespace, until
from e2e.support.traffic import PROVIDER


class Parties(NamedTuple):
    """The namespace of the pods, and that of the routes."""

    platform: Installation
    team: Installation


@pytest.fixture(scope="module")
def parties(cluster: Cluster, new_installation: NewInstallation) -> Iterator[Parties]:
    """An installation whose operator reads a team's namespace only, with the team's route `triage`."""
    team = Installation(cluster, new_namespace("team"))
    team.create_namespace()
    values = {"operator": {"namespaces": [team.namespace]}, "jaeger": {"enabled": False}}
    try:
        with new_installation(values, word="platform") as platform:
            team.add_route("triage", PROVIDER)
            yield Parties(platform, team)
    finally:
        cluster.kubectl("delete", "namespace", team.namespace, "--wait=false")
        team.close()


def test_a_webhook_of_the_team_is_answered_in_its_own_stream(parties: Parties) -> None:
    platform, team = parties
    assert team.route("triage")["status"]["path"] == f"/hooks/{team.namespace}/triage"
    url = f"http://{platform.reach('receiver', 80)}/hooks/{team.namespace}/triage"
    delivery = platform.post_to(url, team.signed("triage", PROVIDER)).json()["delivery"]
    reader = platform.redis("reader")

    def is_answered() -> bool:
        entries = reader.xrange(GROUP.stream(team.namespace, "answers"))
        return delivery in [fields["delivery"] for _, fields in entries]

    until(is_answered, f"an answer to {delivery}")
    assert platform.answers() == []


def test_transitions_are_told_where_the_team_looks(parties: Parties) -> None:
    _, team = parties
    team.kubectl("delete", "secret", "triage-hook")
    until(lambda: team.condition("triage", "SecretsResolved") == ("False", "SecretNotFound"), "the condition")
    until(lambda: "SecretNotFound" in team.kubectl("get", "events"), "an Event")


def test_helm_test_uses_a_namespace_that_is_watched(parties: Parties) -> None:
    platform, team = parties
    assert "Succeeded" in platform.test()
    assert team.get("eventroutes", "--selector", "app.kubernetes.io/component=test")["items"] == []
