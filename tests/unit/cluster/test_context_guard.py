"""`make e2e CLUSTER=current` installs, kills and deletes: it keeps away from what may not be a test cluster."""

import pytest

from e2e.support.cluster import CHOSEN_CONTEXT, context_problem


@pytest.mark.parametrize(
    "name", ["kind-kind", "kind-eventroute", "k3d-dev", "minikube", "docker-desktop", "eventroute-e2e"]
)
def test_a_test_cluster_is_used(name: str) -> None:
    assert context_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "production",
        "gke_shop_europe-west1_main",
        "arn:aws:eks:eu-west-1:1:cluster/main",
        "mankind-1",
        "my-minikube",
    ],
)
def test_any_other_is_refused_by_name_and_with_the_way_to_choose_it(name: str) -> None:
    problem = context_problem(name)
    assert problem is not None
    assert repr(name) in problem
    assert CHOSEN_CONTEXT in problem


def test_a_cluster_that_was_chosen_by_its_name_is_used() -> None:
    assert context_problem("staging", chosen="staging") is None
    assert context_problem("production", chosen="staging") is not None


def test_choosing_nothing_does_not_choose_a_context_without_a_name() -> None:
    assert context_problem("", chosen="") is not None
