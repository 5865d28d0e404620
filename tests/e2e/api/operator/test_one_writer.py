"""Of two operators one writes; whatever becomes of it, the other goes on within 20 s, and only one of them writes."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventroute import keys
from eventroute.route_table import RECEIVER, WORKER
from support.control_plane import SECRET, ControlPlane, Namespace, redis_of
from support.operator_process import NAMESPACE, OperatorProcess, grant_documented, operator_process
from support.waiting import until

OVER_S = 20.0
"""How long a failure of the leader may last."""


@pytest.fixture
async def second(plane: ControlPlane, team: Namespace, tmp_path: Path) -> AsyncIterator[OperatorProcess]:
    """Another operator of the same installation, which waits; afterwards the first one leads again."""
    await until(plane.operator.leads, timeout_s=OVER_S)
    with operator_process(tmp_path, plane.kubeconfig, **plane.settings) as other:
        await other.until_ready()
        assert not await other.leads()
        team.apply_secret("hook", {"secret": SECRET})
        team.apply_route()
        await team.until_ready()
        yield other
        plane.operator.kill()
        plane.operator.start()
        await plane.operator.until_ready()
    await until(plane.operator.leads, timeout_s=OVER_S)


async def tables(plane: ControlPlane) -> list[list[bytes]]:
    """Read by whom, and as which version, both tables were written."""
    async with redis_of(plane) as redis:
        return [await redis.hmget(keys.table(each.name), "@epoch", "@version") for each in (RECEIVER, WORKER)]


async def test_a_leader_that_is_killed_is_followed(
    plane: ControlPlane, team: Namespace, second: OperatorProcess
) -> None:
    plane.operator.kill()
    killed = time.monotonic()
    team.apply_route("after")
    await team.until_ready("after", timeout_s=OVER_S)
    assert time.monotonic() - killed < OVER_S
    assert await second.leads()
    assert (team.deliver(), team.deliver("after")) == (200, 200)


async def test_a_leader_that_ends_hands_over_at_once(
    plane: ControlPlane, team: Namespace, second: OperatorProcess
) -> None:
    assert plane.operator.terminate() == 0
    ended = time.monotonic()
    team.apply_route("after")
    await team.until_ready("after", timeout_s=OVER_S)
    assert time.monotonic() - ended < 6
    assert await second.leads()


async def test_a_leader_that_stood_still_writes_nothing_when_it_goes_on(
    plane: ControlPlane, team: Namespace, second: OperatorProcess
) -> None:
    plane.operator.pause()
    await until(second.leads, timeout_s=OVER_S)
    team.apply_secret("hook", {"secret": SECRET + "-new"})  # the one before was stolen
    await until(lambda: team.deliver(secret=SECRET) == 401)
    team.delete("eventroutes", "triage")
    team.apply_route("other")
    await team.until_ready("other")
    written, told = await tables(plane), team.route("other")["metadata"]["resourceVersion"]
    events = team.events()
    plane.operator.go_on()
    await until(plane.operator.has_ended, timeout_s=OVER_S)
    assert await tables(plane) == written
    assert team.route("other")["metadata"]["resourceVersion"] == told
    assert team.events() == events
    assert team.deliver("other", secret=SECRET) == 401
    assert await second.leads()


async def test_a_leader_that_cannot_ask_for_its_lease_is_refused_by_redis_once_it_was_followed(
    plane: ControlPlane, team: Namespace, second: OperatorProcess, tmp_path: Path
) -> None:
    other = grant_documented(plane.api, tmp_path, name="another")
    second.close()
    with operator_process(tmp_path, other, **plane.settings) as third:
        await third.until_ready()
        plane.api.kubectl("delete", "rolebinding", "operator", "-n", NAMESPACE)
        try:
            await until(third.leads, timeout_s=OVER_S)
            team.apply_route("after")  # both are told of it
            await until(plane.operator.has_ended, timeout_s=OVER_S)
            assert await third.leads()
            await team.until_ready("after")
        finally:
            grant_documented(plane.api, plane.kubeconfig.parent)


async def test_the_lease_says_who_leads_and_may_be_deleted(
    plane: ControlPlane, team: Namespace, second: OperatorProcess
) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/eventroute-operator"
    spec = plane.kubernetes.get(path).json()["spec"]
    assert spec["holderIdentity"] == f"operator-{plane.operator.port}"
    [[epoch, _], _] = await tables(plane)
    assert spec["leaseTransitions"] == int(epoch)
    plane.kubernetes.delete(path)  # somebody tidies up

    async def is_one_leader() -> bool:
        answer = plane.kubernetes.get(path)
        [[written, _], _] = await tables(plane)
        return answer.is_success and answer.json()["spec"]["leaseTransitions"] == int(written)

    await until(is_one_leader, timeout_s=OVER_S)
    team.apply_route("after")
    await team.until_ready("after", timeout_s=OVER_S)
