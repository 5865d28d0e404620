"""Many are changed some at a time, and no faster than was asked for."""

import time
from collections.abc import Mapping, Sequence

from eventroute.ids import DeliveryId
from eventroute_cli.desk.dead import _in_chunks

MANY = [DeliveryId(f"d-{number}") for number in range(250)]


class Changes:
    """Notes when how many were changed."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, int]] = []

    async def __call__(self, part: Sequence[DeliveryId]) -> Mapping[DeliveryId, str]:
        self.calls.append((time.monotonic(), len(part)))
        return dict.fromkeys(part, "ok")


async def test_without_a_pace_as_many_as_one_script_takes() -> None:
    changes = Changes()
    said = await _in_chunks(changes, MANY, per_second=0, verb="replayed")
    assert (list(said), [count for _, count in changes.calls]) == (MANY, [100, 100, 50])


async def test_a_pace_is_kept_from_the_first_to_the_last() -> None:
    changes, begun = Changes(), time.monotonic()
    await _in_chunks(changes, MANY[:40], per_second=100, verb="replayed")
    assert [count for _, count in changes.calls] == [20, 20]
    assert changes.calls[1][0] - begun >= 0.19  # the first may be late, and none is early


async def test_a_slow_pace_is_one_at_a_time() -> None:
    changes, begun = Changes(), time.monotonic()
    await _in_chunks(changes, MANY[:3], per_second=4, verb="replayed")
    assert [count for _, count in changes.calls] == [1, 1, 1]
    assert changes.calls[2][0] - begun >= 0.49
