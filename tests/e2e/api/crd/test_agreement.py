"""The API server and lint judge alike: what one refuses of a spec, the other does too, over specs made at random."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from eventroute.compile import Problem, Reason
from support.api_server import ApiServer
from support.specs import NAMESPACE, route_of, specs, verdict_on

LINT_ALONE = {
    Reason.INVALID_SCHEME,
    Reason.STRENGTH_TOO_WEAK,
    Reason.INVALID_EXPRESSION,
    Reason.UNKNOWN_VARIABLE,
    Reason.INVALID_TEMPLATE,
}
"""What takes more than a schema to see; the operator says it in the route's conditions."""
PATH = f"/apis/eventroute.dev/v1alpha1/namespaces/{NAMESPACE}/eventroutes/route"
SEEN: Counter[str] = Counter()


@pytest.fixture(scope="module")
def api(api_server: ApiServer) -> Iterator[httpx.Client]:
    api_server.kubectl("create", "namespace", NAMESPACE)
    with api_server.client() as client:
        yield client


def apply(api: httpx.Client, spec: dict[str, Any], **options: str) -> httpx.Response:
    """Apply a route by server-side apply, as `kubectl apply --server-side` does."""
    return api.patch(
        PATH,
        params={"fieldManager": "test", "force": "true", "fieldValidation": "Strict", **options},
        content=msgspec.json.encode(route_of(spec)),
        headers={"content-type": "application/apply-patch+yaml"},
    )


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(spec=specs())
def test_both_judges_agree(api: httpx.Client, spec: dict[str, Any]) -> None:
    answer = apply(api, spec, dryRun="All")
    assert answer.status_code in {200, 201, 422, 500}, answer.text  # 500: a type that server-side apply cannot merge
    is_taken = answer.is_success
    problems = verdict_on(spec)
    seen_by_lint_alone = [each for each in problems if isinstance(each, Problem) and each.reason in LINT_ALONE]
    if is_taken:
        SEEN["taken"] += 1
        assert len(problems) == len(seen_by_lint_alone), problems
    else:
        SEEN["refused"] += 1
        assert problems, answer.text


def test_the_comparison_has_seen_both_verdicts() -> None:
    assert min(SEEN["taken"], SEEN["refused"]) > 50, SEEN


def test_the_provider_of_a_route_may_change(api: httpx.Client) -> None:
    route = route_of({"provider": "github", "secretRefs": [{"name": "hook", "key": "secret"}]})
    collection = PATH.rpartition("/")[0]
    assert api.post(collection, json=route).status_code == 201
    assert apply(api, {**route["spec"], "provider": "stripe"}).status_code == 200


def test_a_field_within_a_kind_without_fields_is_refused_but_by_server_side_apply(api: httpx.Client) -> None:
    secret = {"name": "hook", "key": "secret"}
    spec = {"provider": "github", "secretRefs": [secret], "sinks": [{"log": {"level": "info"}}]}
    assert verdict_on(spec)
    options = {"dryRun": "All", "fieldValidation": "Strict"}
    answer = api.post(PATH.rpartition("/")[0], params=options, json=route_of(spec))
    assert 'unknown field "spec.sinks[0].log.level"' in answer.json()["message"]
    taken = apply(api, spec, dryRun="All")  # drops what it has no schema to compare with
    assert taken.json()["spec"]["sinks"] == [{"log": {}}]
