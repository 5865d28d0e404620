"""What the chart tells Prometheus: alerts over metrics and labels that the programs really have."""

import re
from collections.abc import Iterator
from typing import Any, Final

import promql_parser
import pytest
from prometheus_client import CollectorRegistry

from eventroute.outcome import Receipt, RunOutcome, Unavailable
from eventroute.runtime import redis_check
from eventroute.runtime.metrics import REGISTRY
from eventroute_operator import metrics as operator
from eventroute_receiver import metrics as receiver
from eventroute_worker import metrics as worker
from support.chart import NAMESPACE, named, of_kind, render

OBJECTS: Final = render({"prometheusRule": {"enabled": True}, "serviceMonitor": {"enabled": True}})
ALERTS: Final = {
    rule["alert"]: rule for rule in named(OBJECTS, "PrometheusRule", "ev-eventroute")["spec"]["groups"][0]["rules"]
}
SCRAPED: Final = {"namespace", "service"}
"""Labels that Prometheus adds; ours are compared with what a program shows."""


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        match node:
            case promql_parser.VectorSelector():
                found.append(node)
            case promql_parser.MatrixSelector():
                found.append(node.vector_selector)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return list({str(selector): selector for selector in found}.values())


def samples(registry: CollectorRegistry) -> Iterator[tuple[str, dict[str, str]]]:
    """Each series as Prometheus names it."""
    for family in registry.collect():
        for sample in family.samples:
            yield sample.name, sample.labels


def holds(matcher: promql_parser.Matcher, labels: dict[str, str]) -> bool:
    assert matcher.name in labels, f"{matcher.name} is none of {sorted(labels)}"
    is_equal = labels[matcher.name] == matcher.value
    return is_equal if matcher.op == promql_parser.MatchOp.Equal else not is_equal


@pytest.fixture(autouse=True, scope="module")
def _seen() -> None:
    """Let everything happen once that an alert is about."""
    receiver.RECEIPTS.counts["", Receipt.UNAVAILABLE, Unavailable.REDIS] += 1
    receiver.RECEIPTS.counts["", Receipt.UNAVAILABLE, Unavailable.BROKEN_ROUTE] += 1
    receiver.RECEIPTS.counts["er/alerts", Receipt.UNAVAILABLE, Unavailable.ROUTE_FULL] += 1
    receiver.RECEIPTS.counts["er/alerts", Receipt.UNAVAILABLE, Unavailable.KEY] += 1
    receiver.RECEIPTS.counts["er/alerts", Receipt.UNAUTHENTICATED, "mismatch"] += 1
    receiver.DELIVERIES.counts["er/alerts", Receipt.UNDECIDED] += 1
    worker.RUNS.labels(RunOutcome.DEAD, "decode").inc()
    worker.PICKUP.observe(1)
    worker.ENDS_REFUSED.inc()
    worker.tell(worker.PARKED, {"authentication": 1})
    worker.tell(worker.HELD_ROUTES, {"withheld": 1})
    operator.STOPPED.set(1)
    redis_check.TROUBLE.labels(redis_check.RedisTrouble.VERSION).set(1)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_selects_what_a_program_shows(alert: str) -> None:
    selected = selectors(ALERTS[alert]["expr"])
    assert selected
    for selector in selected:
        matchers: Any = selector.matchers.matchers
        assert {"namespace"} <= {m.name for m in matchers if m.value == NAMESPACE}, "others' installations alert too"
        if selector.name == "up":
            continue
        ours = [matcher for matcher in matchers if matcher.name not in SCRAPED]
        series = [labels for name, labels in samples(REGISTRY) if name == selector.name]
        assert any(all(holds(matcher, labels) for matcher in ours) for labels in series), str(selector)


def test_the_operator_is_missed_under_the_name_of_its_service() -> None:
    (selector,) = selectors(ALERTS["EventRouteOperatorDown"]["expr"])
    (service,) = (matcher.value for matcher in selector.matchers.matchers if matcher.name == "service")
    assert service in {item["metadata"]["name"] for item in of_kind(OBJECTS, "Service")}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_speaks_of_labels_that_its_expression_keeps(alert: str) -> None:
    rule = ALERTS[alert]
    kept = {label for by in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in re.split(r",\s*", by)}
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= kept


def test_exactly_the_services_with_probes_are_scraped() -> None:
    (monitor,) = of_kind(OBJECTS, "ServiceMonitor")
    wanted, (endpoint,) = monitor["spec"]["selector"]["matchLabels"], monitor["spec"]["endpoints"]
    scraped = {
        service["metadata"]["labels"]["app.kubernetes.io/component"]
        for service in of_kind(OBJECTS, "Service")
        if wanted.items() <= service["metadata"]["labels"].items()
        and endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    }
    assert scraped == {"receiver", "worker", "operator"}
