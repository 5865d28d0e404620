"""What the chart sets is what the programs read, and every setting of a program has its place in the chart."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.settings import Settings
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_operator.settings import OperatorSettings
from eventroute_receiver.settings import ReceiverSettings
from eventroute_worker.settings import WorkerSettings

CHART = Path(__file__).parents[3] / "charts/eventroute"
TEMPLATES = CHART / "templates"
FIXED = {"host", "port", "probe_host", "probe_port"}
"""The chart's Services and probes rely on the programs' own defaults."""
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@pytest.mark.parametrize("settings", [ReceiverSettings, WorkerSettings, OperatorSettings])
def test_the_chart_sets_all_settings_of_a_program_and_no_others(settings: type[Settings]) -> None:
    program = settings.prefix.removeprefix("EVENTROUTE_").removesuffix("_").lower()
    text = (TEMPLATES / program / "deployment.yaml").read_text(encoding="utf-8")
    assert f'$env := "{settings.prefix.removesuffix("_")}"' in text
    fields = {name.removesuffix("_FILE").lower() for name in re.findall(r"\{\{ \$env \}\}_(\w+)", text)}
    assert fields == settings.model_fields.keys() - FIXED


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        (ReceiverSettings, {"read_deadline_s": "readDeadlineSeconds", "idle_timeout_s": "idleTimeoutSeconds"}),
        (ReceiverSettings, {"max_connections": "maxConnections", "max_bytes_in_flight": "maxBytesInFlight"}),
        (ReceiverSettings, {"shutdown_grace_s": "shutdownGraceSeconds", "log_level": "logLevel"}),
        (WorkerSettings, {"max_jobs": "maxJobs", "concurrent_calls": "concurrentCalls", "grace_s": "graceSeconds"}),
        (WorkerSettings, {"propagate_trace": "propagateTrace", "log_level": "logLevel"}),
        (OperatorSettings, {"resync_s": "resyncSeconds", "status_interval_s": "statusIntervalSeconds"}),
        (OperatorSettings, {"grace_s": "secretGraceSeconds"}),
    ],
)
def test_the_charts_defaults_are_the_programs(settings: type[Settings], same: dict[str, str]) -> None:
    program = settings.prefix.removeprefix("EVENTROUTE_").removesuffix("_").lower()
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))[program]
    for field, value in same.items():
        assert values[value] == settings.model_fields[field].default


def test_the_charts_defaults_of_the_queue_are_the_programs() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["queue"]
    receiver, worker = ReceiverSettings.model_fields, WorkerSettings.model_fields
    assert values["maxDepth"] == receiver["max_queue_depth"].default
    assert {fields["groups"].default for fields in (receiver, worker, OperatorSettings.model_fields)} == {
        values["groups"]
    }
    kept = {name: int(text[:-1]) * UNITS_S[text[-1]] for name, text in values["retention"].items()}
    assert kept == {name: worker[f"keep_{name}_s"].default for name in ("payload", "answer", "record")}


def test_the_programs_default_ports_are_those_that_the_chart_names() -> None:
    assert ReceiverSettings.model_fields["port"].default == 8080
    for settings in (ReceiverSettings, WorkerSettings, OperatorSettings):
        assert settings.model_fields["probe_port"].default == 8081


def test_alerts_name_metrics_that_exist() -> None:
    programs = (f"eventroute_{name}.metrics" for name in ("receiver", "worker", "operator"))
    for module in (*programs, "eventroute.runtime.redis_check"):
        importlib.import_module(module)
    known = {family.name for family in REGISTRY.collect()}
    text = (TEMPLATES / "monitoring/prometheusrule.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"eventroute_\w+", text))
    assert named
    assert {re.sub("_(total|bucket)$", "", name) for name in named} <= known


def test_the_simulators_key_is_the_one_that_workers_are_given() -> None:
    assert DEFAULT_KEY in (TEMPLATES / "secrets/anthropic.yaml").read_text(encoding="utf-8")
    assert DEFAULT_KEY in (CHART.parents[1] / "k8s/make_secrets.py").read_text(encoding="utf-8")


def test_the_charts_version_is_the_programs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = (CHART.parents[1] / "services/core/pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{chart["appVersion"]}"' in project
