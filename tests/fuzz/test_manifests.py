"""Damaged manifests: lint names a problem or serves them, and the operator judges what an API server may hand it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from eventroute.compile import Side, Verdict
from eventroute.crd.manifest import parse_manifests
from eventroute.errors import Refused
from eventroute.policy import Policy
from eventroute_cli.findings import Examined, examine
from eventroute_cli.lint import summary
from eventroute_operator.cluster import Cluster, Kind
from eventroute_operator.judge import judge
from support.cluster_objects import TRIAGE, config_map_body, route_body, secret_body
from support.fuzz import Edit, Swap, bounded, edited, swapped, swaps, words
from support.specs import specs

SAMPLES = [path.read_bytes() for path in sorted(Path(__file__).parents[2].glob("k8s/samples/**/*.yaml"))]
POLICY = (
    b"budget: {period: 24h, usd: '20'}\nmaxTokens: 4096\nmodels: [claude-haiku-5-5]\nnamespaces: {a: {maxTokens: 1}}\n"
)
SPECS = [
    document["spec"]
    for text in SAMPLES
    for document in yaml.safe_load_all(text)
    if isinstance(document, dict) and isinstance(document.get("spec"), dict)
]

samples = st.sampled_from(SAMPLES)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "route.yaml"


def _is_explained(examined: Examined) -> bool:
    """Whether something was served or said, and every word of it is for people."""
    said = all(finding.message and finding.reason and finding.line >= 0 for finding in examined.findings)
    return said and bool(examined.findings or examined.compiled.receiver) and bool(summary(examined))


@bounded(700)
@given(text=samples, changes=words(), with_secrets=st.booleans())
def test_lint_explains_any_text(file: Path, text: bytes, changes: list[Edit], with_secrets: bool) -> None:
    file.write_bytes(edited(text, changes))
    assert _is_explained(examine([file], with_secrets=with_secrets))


@bounded(300)
@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    found = parse_manifests(text)
    assert all(problem.message and problem.line >= 1 for problem in found.problems)
    assert found.routes == ()


@bounded(300)
@given(text=st.just(POLICY), changes=words())
def test_a_policy_is_read_or_refused(text: bytes, changes: list[Edit]) -> None:
    assert _policy(edited(text, changes).decode(errors="replace"))


def _policy(text: str) -> Policy | str:
    """Read a policy, or what is wrong with it."""
    try:
        return Policy.parse(text)
    except Refused as error:
        return str(error)


def _judged(route: dict[str, Any], secret: dict[str, Any], texts: dict[str, Any]) -> bool:
    """Let the operator see the objects and judge the route; tells whether it came to a verdict."""
    cluster = Cluster()
    cluster.see(Kind.ROUTE, route)
    cluster.see(Kind.SECRET, secret)
    cluster.see(Kind.CONFIG_MAP, texts)
    cluster.take_dirty()
    judged = judge(cluster.routes[TRIAGE], cluster.find)
    made = {side for side, entry in ((Side.INTAKE, judged.receiver), (Side.WORK, judged.worker)) if entry}
    if isinstance(judged.verdict, Verdict):
        return made == {side for side in Side if judged.verdict.serves(side)}
    return bool(judged.verdict) and not made


@bounded(700)
@given(spec=st.sampled_from(SPECS) | specs(), changes=swaps())
def test_the_operator_judges_any_spec(spec: dict[str, Any], changes: list[Swap]) -> None:
    route = {**route_body(), "spec": swapped(copy.deepcopy(spec), changes)}
    assert _judged(route, secret_body(), config_map_body(one="Be brief."))


@bounded(300)
@given(changes=swaps(), kind=st.sampled_from(["Secret", "ConfigMap"]))
def test_the_operator_judges_a_route_beside_any_secret_and_config_map(changes: list[Swap], kind: str) -> None:
    secret, texts = secret_body(), config_map_body(one="Be brief.")
    if kind == "Secret":
        secret["data"] = swapped({"data": secret["data"]}, changes).get("data")
    else:
        texts["data"] = swapped({"data": texts["data"]}, changes).get("data")
    route = route_body(prompts=[{"systemFrom": {"name": "texts", "key": "one"}}])
    assert _judged(route, secret, texts)
