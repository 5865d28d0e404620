"""Exactly `/hooks/<namespace>/<name>` is a route; every other spelling is another path, and so unknown."""

import pytest

from support.raw_http import exchange, whole
from support.receiver_process import OnTheWire
from support.receiving import opened
from support.sample_routes import receiver_route

OTHER_SPELLINGS = [
    "/hooks/team-a/triage/",
    "/hooks//team-a/triage",
    "/hooks/team-a//triage",
    "//hooks/team-a/triage",
    "/hooks/team-a%2Ftriage",
    "/hooks/team-a%2ftriage",
    "/hooks/team-a/%74riage",
    "/%68ooks/team-a/triage",
    "/hooks/team-a/./triage",
    "/hooks/team-a/%2e/triage",
    "/hooks/team-a/x/../triage",
    "/hooks/team-a/x/%2e%2e/triage",
    "/hooks/team-b/../team-a/triage",
    "/hooks/team-a/triage%00",
    "/hooks/team-a/triage;v=1",
    "/hooks/team-a/triage/more",
    "/hooks/Team-A/triage",
    "/HOOKS/team-a/triage",
    "/hooks/hooks/team-a/triage",
    "/hooksteam-a/triage",
    "/team-a/triage",
    "/hooks/team-a",
    "/hooks/",
    "/hooks",
    "/",
    "/favicon.ico",
    "*",
]


@pytest.mark.parametrize("target", OTHER_SPELLINGS)
async def test_another_spelling_is_an_unknown_route_and_counts_as_one(wire: OnTheWire, target: str) -> None:
    await wire.serve(receiver_route())
    before = await wire.receipts()
    answer = await exchange(wire.port, whole(opened(), target=target))
    assert (answer.status, answer.headers, answer.body) == (404, {"content-length": "0"}, b"")
    assert await wire.receipts() - before == {("", "unknown_route", ""): 1}
    assert await wire.queued() == []


@pytest.mark.parametrize(
    "target",
    [
        "/hooks/team-a/triage?source=x",
        "/hooks/team-a/triage?",
        "http://hooks.example.com/hooks/team-a/triage",
        "http://another.example.com:8080/hooks/team-a/triage",
    ],
)
async def test_a_query_and_the_absolute_form_change_nothing(wire: OnTheWire, target: str) -> None:
    await wire.serve(receiver_route())
    assert (await exchange(wire.port, whole(opened(), target=target))).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "CONNECT"])
async def test_other_methods_are_refused_with_the_one_that_is_allowed(wire: OnTheWire, method: str) -> None:
    await wire.serve(receiver_route())
    before = await wire.receipts()
    answer = await exchange(wire.port, whole(opened(), method=method))
    assert (answer.status, answer.headers, answer.body) == (405, {"allow": "POST", "content-length": "0"}, b"")
    assert await wire.receipts() - before == {("team-a/triage", "unsupported", "method"): 1}
    assert await wire.queued() == []
