"""The values of the page about proxies are settings of the chart, and idle times that fit."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventroute.schemes import SCHEMES
from eventroute_receiver.settings import ReceiverSettings

CHART = Path(__file__).parents[3] / "charts/eventroute"
PAGE = (CHART / "PROXIES.md").read_text(encoding="utf-8")
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SAMPLES: dict[str, Any] = {
    title: yaml.safe_load(sample)
    for title, sample in re.findall(r"^## (.+?)\n.*?^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
}
IDLE_S = {
    "ingress-nginx": 60,
    "AWS Application Load Balancer": 60,
    "Cloudflare": 900,
    "Google Cloud: GKE Ingress and Gateway": 600,
    "Traefik": 90,
}
"""How long each keeps a connection to a pod, as its maker says; the page names where."""


def _unknown(values: Mapping[str, Any], known: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        if name not in known:
            yield f"{path}{name}"
        elif isinstance(value, dict) and known[name]:
            yield from _unknown(value, known[name], f"{path}{name}.")


def test_every_proxy_has_its_values() -> None:
    assert SAMPLES.keys() == IDLE_S.keys()


@pytest.mark.parametrize("proxy", IDLE_S)
def test_they_are_settings_of_the_chart(proxy: str) -> None:
    assert list(_unknown(SAMPLES[proxy], DEFAULTS)) == []


@pytest.mark.parametrize("proxy", IDLE_S)
def test_the_receiver_keeps_a_connection_longer_than_the_proxy(proxy: str) -> None:
    receiver = {**DEFAULTS["receiver"], **SAMPLES[proxy].get("receiver", {})}
    assert receiver["idleTimeoutSeconds"] > IDLE_S[proxy]
    assert f"{IDLE_S[proxy]} s" in PAGE


@pytest.mark.parametrize("proxy", [name for name in IDLE_S if "probesFrom" in str(SAMPLES.get(name))])
def test_who_may_ask_for_health_by_default_still_may(proxy: str) -> None:
    assert DEFAULTS["networkPolicies"]["probesFrom"][0] in SAMPLES[proxy]["networkPolicies"]["probesFrom"]


def test_the_largest_body_of_a_provider_passes_nginx() -> None:
    annotations = SAMPLES["ingress-nginx"]["ingress"]["annotations"]
    largest = max(scheme.max_body_bytes for scheme in SCHEMES.values())
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == f"{largest // 1_048_576}m"


def test_what_the_page_says_of_the_receiver_is_so() -> None:
    defaults = ReceiverSettings.model_fields
    for setting, field in (("readDeadlineSeconds", "read_deadline_s"), ("idleTimeoutSeconds", "idle_timeout_s")):
        assert f"`receiver.{setting}` ({defaults[field].default:g})" in PAGE
    assert max(scheme.patience_s for scheme in SCHEMES.values()) == 10  # "for at most 10 s"
