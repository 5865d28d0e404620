"""From `helm install` to answers: what a user does in the first ten minutes."""

import pytest

from e2e.support.installation import Installation, until

PROVIDERS = {"github": "issues.opened", "stripe": "invoice.payment_failed", "slack": "app_mention"}


@pytest.fixture(scope="module")
def routes(installation: Installation) -> Installation:
    """An installation with a route for each of the providers."""
    for provider in PROVIDERS:
        installation.add_route(provider, provider)
    return installation


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_signed_webhook_is_answered_in_the_stream(routes: Installation, provider: str) -> None:
    accepted = routes.send(provider, provider)
    assert accepted.status_code == 200, accepted.text
    entry = routes.answer(accepted.json()["delivery"])
    assert entry["provider"] == provider
    assert entry["outcome"] == "succeeded"
    assert "simulated" in entry["text"].lower()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_forged_webhook_is_refused_and_leaves_nothing(routes: Installation, provider: str) -> None:
    before = len(routes.answers())
    refused = routes.send(provider, provider, forge=True)
    assert (refused.status_code, refused.content) == (401, b"")
    assert len(routes.answers()) == before


def test_a_repeated_webhook_is_told_its_first_delivery_and_answered_once(routes: Installation) -> None:
    request = routes.signed("github", "github")
    first, second = (routes.post("github", request).json() for _ in range(2))
    assert (first["status"], second["status"]) == ("queued", "duplicate")
    assert second["delivery"] == first["delivery"]
    routes.answer(first["delivery"])
    routes.answer(routes.send("github", "github").json()["delivery"])  # what came later is done, so nothing is pending
    assert [entry["delivery"] for entry in routes.answers()].count(first["delivery"]) == 1


def test_kubectl_says_that_a_route_works(routes: Installation) -> None:
    header, *lines = routes.kubectl("get", "er").splitlines()
    assert header.split() == ["NAME", "PROVIDER", "PATH", "MODEL", "READY", "REASON", "LAST-EVENT", "AGE"]
    for line in lines:
        name, provider, path, _, ready, reason = line.split()[:6]
        assert (provider, path, ready, reason) == (name, f"/hooks/{routes.namespace}/{name}", "True", "Ready")


def test_one_trace_leads_from_the_receipt_to_the_sink(routes: Installation) -> None:
    entry = routes.answer(routes.send("stripe", "stripe").json()["delivery"])

    def whole_trace() -> dict[str, str] | None:
        spans = {span["operationName"]: span for span in routes.spans(entry["trace_id"])}
        expected = {
            "POST /hooks/{namespace}/{name}": None,
            "send eventroute": "POST /hooks/{namespace}/{name}",
            "process eventroute": "send eventroute",
            f"chat {entry['model']}": "process eventroute",
            "sink stream": "process eventroute",
        }
        if spans.keys() != expected.keys():
            return None
        names = {span["spanID"]: name for name, span in spans.items()}
        parents = {
            name: next((names[ref["spanID"]] for ref in span["references"] if ref["refType"] == "CHILD_OF"), None)
            for name, span in spans.items()
        }
        assert parents == expected
        return {name: span["service"] for name, span in spans.items()}

    services = until(whole_trace, f"five spans in the trace {entry['trace_id']}")
    assert {services["send eventroute"], services["process eventroute"]} == {
        "eventroute-receiver",
        "eventroute-worker",
    }


def test_the_trace_shows_what_a_run_does_in_redis(routes: Installation) -> None:
    entry = routes.answer(routes.send("stripe", "stripe").json()["delivery"])

    def steps() -> bool:
        names = {span["operationName"] for span in routes.spans(entry["trace_id"], of_redis=True)}
        return {"redis begin", "redis save", "redis stream"} <= names

    until(steps, f"steps in Redis in the trace {entry['trace_id']}")
