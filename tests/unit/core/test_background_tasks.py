"""Background tasks end with their block, also one that misses a cancellation, and tell when they fail."""

import asyncio

import pytest

from eventroute.runtime import background
from eventroute.runtime.background import running
from support.waiting import until


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_they_run_in_the_block_and_have_ended_after_it() -> None:
    seen: list[str] = []

    async def watched() -> None:
        seen.append("started")
        try:
            await for_ever()
        finally:
            seen.append("ended")

    async with running(watched, watched):
        await asyncio.sleep(0)
        assert seen == ["started", "started"]
    assert seen == ["started", "started", "ended", "ended"]


async def test_one_that_swallows_a_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await for_ever()
            except asyncio.CancelledError:
                swallowed += 1
        await for_ever()

    async with asyncio.timeout(1), running(stubborn):
        await asyncio.sleep(0)
    assert swallowed == 2


async def test_one_that_fails_is_logged_and_begun_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_RESTART_S", 0.001)
    begun = 0

    async def failing() -> None:
        nonlocal begun
        begun += 1
        raise RuntimeError("as it happens")

    async with running(failing, for_ever):
        await until(lambda: begun > 2)
    assert "background_job_failed" in capsys.readouterr().out


async def test_an_error_of_the_block_comes_through() -> None:
    with pytest.raises(KeyError):
        async with running(for_ever):
            raise KeyError("the block's own")
