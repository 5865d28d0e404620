"""The health that the chart's README tells Argo CD of, run by a Lua as old as its own over the operator's statuses."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from eventroute.crd.status import StatusReason
from support.golden_status import FOLDER

README: Final = (Path(__file__).parents[3] / "charts/eventroute/README.md").read_text(encoding="utf-8")
(SAMPLE,) = re.findall(r"^```yaml\n(data:\n  resource\..*?)^```", README, re.MULTILINE | re.DOTALL)
SCRIPT: Final[str] = yaml.safe_load(SAMPLE)["data"]["resource.customizations.health.eventroute.dev_EventRoute"]
GENERATION: Final = 3
"""Of the route that the golden statuses are about."""

PROGRESSING: Final = {"propagating", "no-receivers", "redis-away", "not-published"}
DEGRADED: Final = {
    *("config-map-missing", "filter-broken-and-former-served", "template-broken", "several-mistakes"),
    *("invalid-spec", "spec-broken-and-former-served", "secret-lost", "secret-missing", "operator-fault", "unreadable"),
}


def health(route: Mapping[str, Any]) -> tuple[str, str]:
    """Judge an object as Argo CD does, which gives it as `obj`."""
    lua = LuaRuntime()
    lua.globals().obj = lua.table_from(route, recursive=True)
    told = lua.execute(SCRIPT)
    return told.status, told.message


def route(status: Mapping[str, Any] | None, **spec: Any) -> dict[str, Any]:
    found = {"metadata": {"generation": GENERATION}, "spec": spec}
    return found if status is None else {**found, "status": status}


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return {**found, "observedGeneration": GENERATION}


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_a_route_that_is_served_is_healthy_and_one_with_a_mistake_is_not(name: str) -> None:
    expected = "Progressing" if name in PROGRESSING else "Degraded" if name in DEGRADED else "Healthy"
    (ready,) = (condition for condition in golden(name)["conditions"] if condition["type"] == "Ready")
    assert health(route(golden(name))) == (expected, ready["message"])


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"conditions": golden("ready")["conditions"]},
        {**golden("ready"), "observedGeneration": GENERATION - 1},
    ],
)
def test_what_is_not_judged_yet_is_on_its_way(status: Mapping[str, Any] | None) -> None:
    assert health(route(status))[0] == "Progressing"


def test_a_route_that_is_suspended_on_purpose_says_so() -> None:
    assert health(route(golden("suspended"), suspend={"mode": "hold"}))[0] == "Suspended"
    assert health(route(golden("secret-missing"), suspend={"mode": "hold"}))[0] == "Degraded"


def test_every_reason_that_passes_by_itself_exists() -> None:
    named = re.findall(r"(\w+) = true", SCRIPT)
    assert named
    assert {*named} <= {*StatusReason}
