"""Reading a body: whole, capped, in time, or not at all."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from eventroute_receiver.body import DisconnectedError, NoRoomError, Receive, Room, TooLargeError, read_body


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def sending(messages: Sequence[dict[str, Any]]) -> Receive:
    """Hand out the messages, then nothing for ever."""
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        message = next(left, None)
        if message is None:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")
        return message

    return receive


async def read(
    *messages: dict[str, Any], max_bytes: int = 10, declared: bytes | None = None, room: Room | None = None
) -> bytes:
    room = room or Room(1_000_000)
    return await read_body(sending(messages), declared=declared, max_bytes=max_bytes, deadline_s=0.02, room=room)


@pytest.mark.parametrize(
    "pieces", [[b""], [b"0123456789"], [b"01", b"", b"23456789"], [b"0123456789", b""], [b"", b"1"]]
)
async def test_pieces_are_joined_as_received(pieces: list[bytes]) -> None:
    last = len(pieces) - 1
    messages = [piece(body, more=index < last) for index, body in enumerate(pieces)]
    assert await read(*messages) == b"".join(pieces)


@pytest.mark.parametrize("pieces", [[b"0123456789a"], [b"0123456789", b"a"], [b"a"] * 11, [b"a" * 1000, b"a"]])
async def test_one_byte_above_the_cap_is_too_large(pieces: list[bytes]) -> None:
    last = len(pieces) - 1
    with pytest.raises(TooLargeError):
        await read(*(piece(body, more=index < last) for index, body in enumerate(pieces)))


async def test_above_the_cap_nothing_more_is_read() -> None:
    with pytest.raises(TooLargeError):
        await read(piece(b"a" * 11, more=True))  # a second read would wait for ever, and so time out


async def test_a_declared_length_above_the_cap_is_refused_before_anything_is_read() -> None:
    with pytest.raises(TooLargeError):
        await read(declared=b"11")


@pytest.mark.parametrize("declared", [None, b"0", b"10"])
async def test_a_declared_length_accepts_nothing(declared: bytes | None) -> None:
    with pytest.raises(TooLargeError):
        await read(piece(b"a" * 11, more=False), declared=declared)


@pytest.mark.parametrize("messages", [[], [piece(b"a", more=True)], [piece(b"", more=True)] * 3])
async def test_an_incomplete_body_times_out(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(TimeoutError):
        await read(*messages)


@pytest.mark.parametrize("before", [[], [piece(b"a", more=True)]])
async def test_a_sender_that_leaves_is_told_from_one_that_is_done(before: list[dict[str, Any]]) -> None:
    with pytest.raises(DisconnectedError):
        await read(*before, {"type": "http.disconnect"})


async def test_all_that_is_read_is_within_the_room_which_a_body_that_was_refused_gives_back() -> None:
    room = Room(10)
    assert await read(piece(b"a" * 4, more=False), room=room) == b"a" * 4
    assert room.held == 4
    with pytest.raises(NoRoomError):
        await read(piece(b"a" * 3, more=True), piece(b"a" * 4, more=False), room=room)
    assert room.held == 4
    with pytest.raises(TimeoutError):
        await read(piece(b"a" * 6, more=True), room=room)
    assert room.held == 4
    with pytest.raises(TooLargeError):
        await read(piece(b"a" * 6, more=False), max_bytes=5, room=room)
    assert room.held == 4
    assert await read(piece(b"a" * 6, more=False), room=room) == b"a" * 6


async def test_large_bodies_leave_room_for_small_ones() -> None:
    mib = 1_048_576
    room = Room(8 * mib)
    await read(piece(b"a" * 5 * mib, more=False), max_bytes=8 * mib, room=room)
    with pytest.raises(NoRoomError):
        await read(piece(b"a" * 2 * mib, more=False), max_bytes=8 * mib, room=room)
    assert len(await read(piece(b"a" * mib, more=False), max_bytes=8 * mib, room=room)) == mib
