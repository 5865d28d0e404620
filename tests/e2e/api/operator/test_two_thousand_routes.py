"""Two thousand routes, one of them broken: all of the others are served, and say so."""

import asyncio

from support.control_plane import ROUTES, SECRET, Namespace
from support.waiting import until

COUNT = 2000


def readiness(team: Namespace) -> dict[str, str]:
    """List every route with the reason of its Ready; empty while it has none."""
    found = team.plane.kubernetes.get(f"{ROUTES}/{team.name}/eventroutes", timeout=30).json()["items"]
    return {
        route["metadata"]["name"]: next(
            (each["reason"] for each in route.get("status", {}).get("conditions", []) if each["type"] == "Ready"), ""
        )
        for route in found
    }


async def are_ready(team: Namespace, count: int) -> bool:
    await asyncio.sleep(0.5)  # a list of all of them is work for the API server, too
    return list(readiness(team).values()).count("Ready") == count


async def test_two_thousand_routes_are_served_and_one_of_them_is_broken(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route("broken", secretRefs=[{"name": "hook", "key": "misspelt"}])
    for number in range(1, COUNT):
        team.apply_route(f"r{number}")
    try:
        await until(lambda: are_ready(team, COUNT - 1), timeout_s=60)
        assert readiness(team)["broken"] == "SecretKeyNotFound"
        assert [team.deliver(f"r{number}") for number in (1, COUNT // 2, COUNT - 1)] == [200, 200, 200]
        assert team.deliver("broken") == 503
        team.apply_route("r1", suspend={"mode": "drop"})
        await team.until_ready("r1")
    finally:  # the others of this folder share the operator
        assert team.plane.kubernetes.delete(f"{ROUTES}/{team.name}/eventroutes", timeout=60).is_success
