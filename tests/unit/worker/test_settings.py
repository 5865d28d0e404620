"""The worker's settings: which are needed, and that secrets do not print."""

import pytest

from eventroute.errors import Refused
from eventroute_worker.attempt import DEFAULT_RETENTION
from eventroute_worker.settings import WorkerSettings

NEEDED = {"EVENTROUTE_WORKER_REDIS_URL": "redis://:pass@host/0", "EVENTROUTE_WORKER_TABLE_KEY": "c2VjcmV0"}


def test_two_settings_are_needed_and_the_others_have_defaults() -> None:
    settings = WorkerSettings.load(NEEDED)
    assert (settings.max_jobs, settings.concurrent_calls, settings.grace_s) == (20, 5, 150)
    assert settings.anthropic_api_key is None
    assert not settings.propagate_trace


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_setting_is_named(missing: str) -> None:
    with pytest.raises(Refused, match=missing):
        WorkerSettings.load({name: value for name, value in NEEDED.items() if name != missing})


@pytest.mark.parametrize(
    ("field", "value"),
    [("MAX_JOBS", "0"), ("CONCURRENT_CALLS", "many"), ("ANTHROPIC_BASE_URL", "ftp://x"), ("LOG_LEVEL", "loud")],
)
def test_a_bad_setting_is_named_without_its_value(field: str, value: str) -> None:
    with pytest.raises(Refused, match=f"EVENTROUTE_WORKER_{field}"):
        WorkerSettings.load({**NEEDED, f"EVENTROUTE_WORKER_{field}": value})


def test_secrets_do_not_print() -> None:
    shown = repr(WorkerSettings.load({**NEEDED, "EVENTROUTE_WORKER_ANTHROPIC_API_KEY": "sk-ant-1"}))
    for secret in ("pass", "c2VjcmV0", "sk-ant-1"):
        assert secret not in shown


def test_what_has_ended_is_kept_for_an_hour_a_day_and_a_week_wherever_nobody_says_otherwise() -> None:
    hour_ms = 3_600_000
    assert WorkerSettings.load(NEEDED).retention == DEFAULT_RETENTION == (hour_ms, 24 * hour_ms, 7 * 24 * hour_ms)
