"""A tape: whoever reads it gets all of it from its start, live, and learns of its failure."""

from __future__ import annotations

import asyncio

import pytest

from addons.tape import Tape, UpstreamError


async def read(tape: Tape) -> list[bytes]:
    pieces: list[bytes] = []
    while (piece := await tape.piece(len(pieces))) is not None:
        pieces.append(piece)
    return pieces


async def test_readers_get_all_of_it_whenever_they_come() -> None:
    tape = Tape(100)
    early = asyncio.create_task(read(tape))
    tape.begin(200, "OK", [("a", "b")])
    for piece in (b"one", b"", b"two"):
        tape.add(piece)
        await asyncio.sleep(0)
    late = asyncio.create_task(read(tape))
    await asyncio.sleep(0)
    tape.finish()
    assert not early.done()  # until it is stored nobody sees the end
    tape.end()
    assert await early == await late == await read(tape) == [b"one", b"two"]
    assert await tape.body() == b"onetwo"
    assert (tape.status, tape.reason, tape.headers, tape.size) == (200, "OK", [("a", "b")], 6)


async def test_each_chunk_is_timed() -> None:
    tape = Tape(100)
    for piece in (b"abc", b"de"):
        tape.add(piece)
    assert [chunk.length for chunk in tape.timing] == [3, 2]
    assert 0 <= tape.timing[0].offset <= tape.timing[1].offset


async def test_head_waits_for_the_head_and_a_reader_that_leaves_harms_nobody() -> None:
    tape = Tape(100)
    waiting = [asyncio.create_task(tape.head()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    tape.begin(200, "", [])
    await waiting[1]
    await tape.head()


async def test_without_a_head_there_is_an_error() -> None:
    tape = Tape(100)
    tape.finish(UpstreamError("refused"))
    tape.end()
    for wait in (tape.head, tape.body, lambda: tape.piece(0)):
        with pytest.raises(UpstreamError, match="refused"):
            await wait()
    silent = Tape(100)
    silent.finish()
    with pytest.raises(UpstreamError, match="no answer"):
        await silent.head()


async def test_where_it_broke_off_readers_learn_of_it_after_what_came() -> None:
    tape = Tape(100)
    tape.begin(200, "", [])
    tape.add(b"half")
    tape.finish(UpstreamError("cut"))
    tape.end()
    assert await tape.piece(0) == b"half"
    with pytest.raises(UpstreamError, match="cut"):
        await tape.piece(1)
    with pytest.raises(UpstreamError, match="cut"):
        await tape.body()


async def test_above_the_limit_it_lets_go_of_what_its_only_reader_has_seen() -> None:
    tape = Tape(4)
    tape.join()
    tape.add(b"1234")
    assert not tape.overflowed
    assert await tape.piece(0) == b"1234"
    assert tape.chunks == [b"1234"]
    tape.add(b"5")
    assert tape.overflowed
    assert [chunk.length for chunk in tape.timing] == [4]
    assert await tape.piece(1) == b"5"
    assert tape.chunks == [b"1234", b""]


async def test_above_the_limit_it_keeps_what_another_reader_has_yet_to_see() -> None:
    tape = Tape(1)
    tape.join()
    tape.join()
    tape.add(b"12")
    assert await tape.piece(0) == b"12"
    assert await tape.piece(0) == b"12"


async def test_above_the_limit_nothing_waits_for_a_reader_who_takes_it_whole() -> None:
    tape = Tape(1)
    tape.join()
    tape.begin(200, "", [])
    taking = asyncio.create_task(tape.body())
    async with asyncio.timeout(5):
        for _ in range(100):
            tape.add(b"12")
            await tape.room()
        tape.finish()
        tape.end()
        assert await taking == b"12" * 100


async def test_the_maker_is_told_when_the_last_client_left_an_unfinished_answer() -> None:
    left: list[str] = []
    tape = Tape(10)
    tape.abandoned = lambda: left.append("left")
    tape.join()
    tape.join()
    tape.leave()
    assert left == []
    tape.leave()
    assert left == ["left"]
    tape.join()
    tape.finish()
    tape.leave()
    assert left == ["left"]


async def test_who_knows_it_to_be_whole_stops_the_reading() -> None:
    stopped: list[bool] = []
    tape = Tape(10)
    tape.stop = lambda: stopped.append(tape.completed)
    tape.complete()
    assert stopped == [True]
