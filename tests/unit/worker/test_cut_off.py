"""An attempt whose delivery was superseded: what it waits for is cut off, however often it is told so."""

import asyncio

import pytest

from eventroute_worker.attempt import Newer, Superseded


async def test_it_may_be_told_again_while_its_call_still_ends() -> None:
    newer, is_begun, is_ending, may_end = Newer(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def call() -> None:
        is_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            is_ending.set()
            await may_end.wait()

    task = asyncio.create_task(newer.cuts_off(call))
    await is_begun.wait()
    newer.tell("d-2")
    await is_ending.wait()
    newer.tell("d-3")
    may_end.set()
    with pytest.raises(Superseded) as told:
        await task
    assert told.value.by == "d-3"


async def test_a_call_is_not_begun_once_it_was_told() -> None:
    async def call() -> None:
        raise AssertionError

    newer = Newer()
    newer.tell("d-2")
    with pytest.raises(Superseded):
        await newer.cuts_off(call)
