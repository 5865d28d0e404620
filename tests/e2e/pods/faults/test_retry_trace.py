"""One trace holds every attempt of a delivery, each linked to the one before."""

from typing import Any

from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER

SEND = "send eventroute"
PROCESS = "process eventroute"


def test_a_retry_is_a_second_span_of_the_same_trace_linked_to_the_first(site: Installation) -> None:
    site.add_route("retried", PROVIDER)
    site.fault(kind="malformed")
    entry = site.answer(site.send("retried", PROVIDER).json()["delivery"])
    chat = f"chat {entry['model']}"

    def whole_trace() -> list[dict[str, Any]] | None:
        found = sorted(site.spans(entry["trace_id"]), key=lambda span: span["startTime"])
        names = sorted(span["operationName"] for span in found)
        expected = ["POST /hooks/{namespace}/{name}", SEND, PROCESS, PROCESS, chat, chat, "sink stream"]
        return found if names == sorted(expected) else None

    spans = until(whole_trace, f"seven spans in the trace {entry['trace_id']}")
    (sent,) = _named(spans, SEND)
    first, second = _named(spans, PROCESS)
    assert [_parent(span) for span in (first, second)] == [sent["spanID"]] * 2
    assert _links(first) == []
    assert _links(second) == [first["spanID"]]
    assert [_parent(span) for span in _named(spans, chat)] == [first["spanID"], second["spanID"]]
    assert [_parent(span) for span in _named(spans, "sink stream")] == [second["spanID"]]
    assert [_tag(span, "eventroute.attempt") for span in (first, second)] == [1, 2]
    assert [_tag(span, "eventroute.outcome") for span in (first, second)] == ["later", "succeeded"]


def _named(spans: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [span for span in spans if span["operationName"] == name]


def _parent(span: dict[str, Any]) -> str | None:
    return next((each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"), None)


def _links(span: dict[str, Any]) -> list[str]:
    return [each["spanID"] for each in span["references"] if each["refType"] == "FOLLOWS_FROM"]


def _tag(span: dict[str, Any], key: str) -> Any:
    return next((tag["value"] for tag in span["tags"] if tag["key"] == key), None)
