"""How streams end and how they are framed: what counts as whole, and that pieces flow in any case."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing

import pytest

from cache.codec import unpack_chunks
from tests.wire import behaviours
from tests.wire.asking import Ask, ask, chat, streams
from tests.wire.behaviours import Framing, Gate, Sending
from tests.wire.conftest import Starting
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.upstream import Upstream

ENDS = {"openai-chat": b"data: [DONE]\n\n", "anthropic": b'data: {"type":"message_stop"}\n\n'}


def named(name: str, salt: str) -> Ask:
    return next(asked for asked in streams(salt) if asked.name == name)


def never_ending(sending: Sending) -> None:
    """All events, and then a connection that stays open until the other side closes it."""
    sending.head("chunked")
    for piece in sending.answer.pieces:
        sending.send(piece)
    sending.wait(sending.client_gone)
    sending.reusable = False


@pytest.mark.parametrize("name", ENDS)
def test_the_terminal_event_is_the_end_although_the_connection_stays_open(
    name: str, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    upstream.script(salt, never_ending, times=1)
    asked = named(name, salt)
    whole = ask(caching, asked).body
    (sending,) = upstream.sent(salt)
    assert whole == sending.answer.body
    assert sending.client_gone.wait(PATIENCE), "nothing more is to come, yet the connection is kept"
    again = ask(caching, asked)
    assert (again.outcome, again.headers["x-wiretape-source"], again.body) == ("hit", "cache", whole)


@pytest.mark.parametrize("name", ENDS)
def test_a_client_that_leaves_at_the_terminal_event_has_a_whole_answer(
    name: str, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    upstream.script(salt, never_ending, times=1)
    asked = named(name, salt)
    with caching.connection(asked.host) as connection:
        response = asked.on(connection)
        body = b""
        while not body.endswith(ENDS[name]):
            body += response.read1()
    assert upstream.sent(salt)[0].client_gone.wait(PATIENCE)
    again = ask(caching, asked)
    assert (again.outcome, again.headers["x-wiretape-source"], again.body) == ("hit", "cache", body)


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_stream_without_its_terminal_event_is_not_kept_however_well_it_is_framed(
    framing: Framing, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    def behave(sending: Sending) -> None:
        pieces = sending.answer.pieces[:-1]
        sending.head(framing, sum(map(len, pieces)))
        for piece in pieces:
            sending.send(piece)
        sending.end()

    asked = chat(salt, stream=True)
    upstream.script(salt, behave, times=1)
    first = ask(caching, asked)
    assert (first.status, first.body) == (200, upstream.sent(salt)[0].body)
    assert [ask(caching, asked).outcome for _ in range(2)] == ["miss", "hit"]


@pytest.mark.parametrize("framing", ["length", "close"])
def test_a_stream_is_live_however_it_is_framed(framing: Framing, caching: Proxy, upstream: Upstream, salt: str) -> None:
    def behave(sending: Sending) -> None:
        sending.head(framing, len(sending.answer.body))
        for number, piece in enumerate(sending.answer.pieces):
            sending.wait(gate.event(number))
            sending.send(piece)

    gate = Gate()
    upstream.script(salt, behave)
    asked = chat(salt, stream=True)
    with caching.connection(asked.host) as connection:
        gate.allow()
        response = asked.on(connection)
        (sending,) = upstream.sent(salt)
        gate.read_in_step(response, sending)
    again = ask(caching, asked)
    assert (again.outcome, again.body) == ("hit", sending.answer.body)


def test_a_compressed_stream_is_live_too(caching: Proxy, upstream: Upstream, salt: str) -> None:
    def behave(sending: Sending) -> None:
        packer = zlib.compressobj(wbits=31)
        sending.answer.headers.append(("content-encoding", "gzip"))
        sending.head("chunked")
        for number, piece in enumerate(sending.answer.pieces):
            sending.wait(gate.event(number))
            sending.send(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH))
        sending.send(packer.flush())
        sending.end()

    gate = Gate()
    upstream.script(salt, behave)
    asked = chat(salt, stream=True)
    with caching.connection(asked.host) as connection:
        gate.allow()
        response = asked.on(connection, accept_encoding="gzip")
        assert response.getheader("content-encoding") is None
        (sending,) = upstream.sent(salt)
        gate.read_in_step(response, sending)
    again = ask(caching, asked, accept_encoding="gzip, br, zstd")
    assert (again.outcome, again.body) == ("hit", sending.answer.body)
    assert "content-encoding" not in again.headers


def test_a_compressed_stream_that_is_cut_is_not_kept(caching: Proxy, upstream: Upstream, salt: str) -> None:
    """All events are there, yet not the end of the encoding: something was lost on the way."""

    def behave(sending: Sending) -> None:
        packer = zlib.compressobj(wbits=31)
        sending.answer.headers.append(("content-encoding", "gzip"))
        sending.head("chunked")
        sending.send(packer.compress(sending.answer.body) + packer.flush(zlib.Z_SYNC_FLUSH))
        sending.end()

    asked = chat(salt, stream=True)
    upstream.script(salt, behave, times=1)
    with caching.connection(asked.host) as connection:
        response = asked.on(connection)
        assert response.read(20) == upstream.sent(salt)[0].answer.body[:20]
    assert ask(caching, asked).outcome == "miss"


def test_when_each_piece_came_is_kept(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy()
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    asked = chat(salt, stream=True)
    with running.connection(asked.host) as connection:
        gate.allow()
        response = asked.on(connection)
        (sending,) = upstream.sent(salt)
        gate.read_in_step(response, sending)
    with closing(sqlite3.connect(running.home / "wiretape.db")) as connection_to_file:
        rows = connection_to_file.execute("SELECT chunks FROM replies").fetchall()
    assert len(rows) == 1, running.log
    chunks = unpack_chunks(rows[0][0], len(sending.answer.body))
    assert [chunk.length for chunk in chunks] == [len(piece) for piece in sending.answer.pieces]
    offsets = [chunk.offset for chunk in chunks]
    assert offsets == sorted(offsets)
    came = sending.request.came
    for (at, _), offset in zip(sending.sends, offsets, strict=True):
        assert offset / 1e6 >= at - came - 0.05, "earlier than it was sent"
