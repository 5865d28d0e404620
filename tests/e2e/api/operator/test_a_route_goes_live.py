"""From `kubectl apply` to the first delivery, and what the route says of itself meanwhile."""

import asyncio

from support.control_plane import SECRET, Namespace
from support.waiting import until


async def test_an_applied_route_takes_deliveries_and_says_that_it_is_ready(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route()
    await team.until_ready()
    assert team.deliver() == 200
    assert team.deliver(secret="another") == 401
    status = team.route()["status"]
    assert status["path"] == f"/hooks/{team.name}/triage"
    assert status["programmed"] == {"receiver": 1, "worker": 1}
    assert [each["type"] for each in status["conditions"]][:7] == [
        "Accepted",
        "SecretsResolved",
        "PromptsValid",
        "Programmed",
        "Working",
        "ScalingReady",
        "Ready",
    ]
    assert {each["observedGeneration"] for each in status["conditions"]} == {1}


async def test_an_edit_is_followed_and_names_the_generation(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route()
    await team.until_ready()
    before = team.condition("Ready")
    team.apply_route(model={"name": "claude-sonnet-5-5"})
    await team.until_ready()
    status = team.route()["status"]
    assert (status["observedGeneration"], status["model"]) == (2, "claude-sonnet-5-5")
    assert status["programmed"] == {"receiver": 2, "worker": 2}
    assert team.condition("Ready")["lastTransitionTime"] == before["lastTransitionTime"]


async def test_a_deleted_route_takes_nothing_and_is_not_denied_yet(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route()
    await team.until_ready()
    team.delete("eventroutes", "triage")
    await until(lambda: team.deliver() == 503)


async def test_deletion_waits_for_nobody(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route()
    await team.until_ready()
    metadata = team.route()["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata


async def test_a_route_that_is_made_anew_under_load_is_another_route(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    codes: list[int] = []

    async def load() -> None:
        while True:
            codes.append(await asyncio.to_thread(team.deliver))
            await asyncio.sleep(0.005)

    sending = asyncio.create_task(load())
    for _ in range(5):
        team.apply_route()
        await asyncio.to_thread(team.delete, "eventroutes", "triage")
    route = team.apply_route()
    await team.until_ready()
    sending.cancel()
    assert set(codes) <= {200, 404, 503}
    assert team.deliver() == 200
    assert team.route()["metadata"]["uid"] == route["metadata"]["uid"]


async def test_a_delivery_shows_in_the_status(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route()
    await team.until_ready()
    assert "counts" not in team.route()["status"]
    team.deliver(delivery="one")
    team.deliver(delivery="one")
    await until(lambda: "counts" in team.route()["status"], timeout_s=20)
    status = team.route()["status"]
    assert (status["counts"]["accepted"], status["counts"]["duplicate"]) == (1, 1)
    assert status["lastDelivery"]["outcome"] == "queued"
    assert status["secrets"][0]["lastMatched"]
    assert team.condition("LastDeliverySucceeded")["status"] == "Unknown"


async def test_a_settled_route_is_not_written_again(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route()
    await team.until_ready()
    version = team.route()["metadata"]["resourceVersion"]
    await asyncio.sleep(7)  # longer than a resync and several looks at the counters
    assert team.route()["metadata"]["resourceVersion"] == version
