"""The API server takes the definition, and shows what a person wants to see."""

from pathlib import Path

import yaml

from support.api_server import ApiServer

ROOT = Path(__file__).parents[4]
DEFINITION = ROOT / "k8s/crd/eventroute.dev_eventroutes.yaml"


def test_the_definition_is_established_without_complaints(api_server: ApiServer) -> None:
    text = api_server.kubectl("get", "crd", "eventroutes.eventroute.dev", "-o", "yaml")
    conditions = {each["type"]: each["status"] for each in yaml.safe_load(text)["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}  # and no NonStructuralSchema


def test_server_side_apply_takes_it_too_and_nothing_is_left_out(api_server: ApiServer) -> None:
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEFINITION))
    stored = yaml.safe_load(api_server.kubectl("get", "crd", "eventroutes.eventroute.dev", "-o", "yaml"))
    assert stored["spec"]["versions"] == yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))["spec"]["versions"]


def test_it_is_small_enough_for_the_annotation_of_client_side_apply() -> None:
    assert DEFINITION.stat().st_size < 262_144 / 2  # the whole of it goes into one annotation


def test_it_has_a_short_name_and_a_category(api_server: ApiServer) -> None:
    (line,) = [
        line
        for line in api_server.kubectl("api-resources", "-o", "wide").splitlines()
        if line.startswith("eventroutes")
    ]
    assert line.split()[:5] == ["eventroutes", "er", "eventroute.dev/v1alpha1", "true", "EventRoute"]
    assert "agents" in line


def test_columns_answer_whether_it_works(api_server: ApiServer) -> None:
    assert api_server.kubectl("create", "namespace", "columns")
    api_server.kubectl("apply", "-n", "columns", "-f", "-", stdin=ROUTE)
    header, _ = api_server.kubectl("get", "er", "-n", "columns", "-o", "wide").splitlines()
    assert header.split() == [
        *("NAME", "PROVIDER", "PATH", "MODEL", "READY", "REASON", "LAST-EVENT", "AGE"),
        *("SUSPENDED", "DEAD", "GENERATION"),
    ]
    short, line = api_server.kubectl("get", "er", "-n", "columns").splitlines()
    assert short.split() == header.split()[:8]
    assert line.split()[:2] == ["route", "none"]


def test_a_field_explains_itself(api_server: ApiServer) -> None:
    assert "current one first" in api_server.kubectl("explain", "er.spec.secretRefs")


ROUTE = """\
apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {name: route}
spec: {provider: none, allowUnauthenticated: true}
"""
