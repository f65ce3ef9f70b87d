"""Single flight: equal requests at the same time are one request to the provider, and nobody waits in vain."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.wire import behaviours
from tests.wire.asking import Ask, Got, ask, chat, embed, got
from tests.wire.behaviours import Gate, Sending
from tests.wire.conftest import Starting
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.upstream import Upstream

CLIENTS = 24


def at_once(proxy: Proxy, asks: list[Ask], pool: ThreadPoolExecutor, salt: str) -> list[Future[Got]]:
    """Ask all of these on connections of their own; the proxy has read every one of them when this returns."""
    sent = threading.Barrier(len(asks) + 1, timeout=PATIENCE)

    def one(asked: Ask) -> Got:
        with proxy.connection(asked.host) as connection:
            asked.send(connection)
            sent.wait()
            return got(connection.getresponse())

    futures = [pool.submit(one, asked) for asked in asks]
    sent.wait()
    ask(proxy, chat(f"afterwards {salt.removeprefix('salt ')}"))  # what came before it has been read before it
    return futures


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_equal_requests_are_one_call(stream: bool, caching: Proxy, upstream: Upstream, salt: str) -> None:
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word))
    with ThreadPoolExecutor(CLIENTS) as pool:
        futures = at_once(caching, [chat(salt, stream=stream)] * CLIENTS, pool, salt)
        word.set()
        answers = [future.result(PATIENCE) for future in futures]
    assert {answer.body for answer in answers} == {upstream.sent(salt)[0].body}
    assert len(upstream.seen(salt)) == 1
    outcomes = sorted(answer.outcome for answer in answers)
    assert outcomes == ["hit"] * (CLIENTS - 1) + ["miss"]


def test_followers_of_a_stream_read_it_live_from_its_start(caching: Proxy, upstream: Upstream, salt: str) -> None:
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    asked = chat(salt, stream=True)
    gate.allow(3)
    with caching.connection(asked.host) as leader, caching.connection(asked.host) as follower:
        first = asked.on(leader)
        pieces = upstream.sent(salt)[0].answer.pieces
        for piece in pieces[:3]:
            assert first.read(len(piece)) == piece
        second = asked.on(follower)
        for piece in pieces[:3]:
            assert second.read(len(piece)) == piece
        for piece in pieces[3:]:
            gate.allow()
            assert first.read(len(piece)) == piece
            assert second.read(len(piece)) == piece
    assert len(upstream.seen(salt)) == 1


def test_a_leader_that_leaves_takes_nobody_with_it(caching: Proxy, upstream: Upstream, salt: str) -> None:
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    asked = chat(salt, stream=True)
    gate.allow(2)
    with caching.connection(asked.host) as follower:
        with caching.connection(asked.host) as leader:
            asked.on(leader).read(1)
            second = asked.on(follower)
            second.read(1)
        gate.open()
        rest = second.read()
    assert upstream.sent(salt)[0].body.endswith(rest)
    assert rest.endswith(b"data: [DONE]\n\n")
    assert len(upstream.seen(salt)) == 1


def test_equal_embedding_requests_ask_once_for_each_input(caching: Proxy, upstream: Upstream, salt: str) -> None:
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word))
    with ThreadPoolExecutor(CLIENTS) as pool:
        futures = at_once(caching, [embed(f"{salt} a", f"{salt} b")] * CLIENTS, pool, salt)
        word.set()
        answers = [future.result(PATIENCE) for future in futures]
    assert len({json.dumps(json.loads(answer.body)["data"]) for answer in answers}) == 1
    asked = [item for request in upstream.seen(salt) for item in request.json["input"]]
    assert sorted(asked) == [f"{salt} a", f"{salt} b"]


def test_overlapping_embeddings_ask_for_each_input_once(caching: Proxy, upstream: Upstream, salt: str) -> None:
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word))
    inputs = [f"{salt} {letter}" for letter in "abc"]
    asks = [embed(inputs[0], inputs[1]), embed(inputs[1], inputs[2]), embed(inputs[2], inputs[0])]
    with ThreadPoolExecutor() as pool:
        futures = at_once(caching, asks, pool, salt)
        word.set()
        assert {future.result(PATIENCE).status for future in futures} == {200}
    asked = [text for request in upstream.seen(salt) for text in request.json["input"]]
    assert sorted(asked) == inputs


@pytest.mark.parametrize(
    ("form", "way"),
    # A stream that is cut after its head is cut for all: they have it already.
    [
        *itertools.product(("plain", "stream", "embed"), ("hanging-up", "500")),
        ("plain", "429"),
        ("plain", "cut"),
        ("embed", "cut"),
    ],
)
def test_whoever_waited_for_a_failure_asks_for_himself(
    form: str, way: str, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    failing = {
        "hanging-up": behaviours.hanging_up,
        "500": behaviours.giving(500, b"{}"),
        "429": behaviours.giving(429, b"{}"),
        "cut": behaviours.cut(0, "reset", "length"),
    }[way]
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word, failing), times=1)
    asked = embed(salt) if form == "embed" else chat(salt, stream=form == "stream")
    with ThreadPoolExecutor() as pool:
        futures = at_once(caching, [asked] * 4, pool, salt)
        assert len(upstream.seen(salt)) == 1
        word.set()
        answers = [future.result(PATIENCE) for future in futures]
    assert sorted(answer.status for answer in answers) == [200, 200, 200, int(way) if way.isdigit() else 502]
    assert 2 <= len(upstream.seen(salt)) <= 4
    assert ask(caching, asked).outcome == "hit"


def test_a_provider_that_is_down_is_down_for_each(proxy: Starting, upstream: Upstream, salt: str) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    running = proxy(upstream={"connect_to": {"api.openai.com:443": address}})
    with ThreadPoolExecutor() as pool:
        futures = at_once(running, [chat(salt)] * 4, pool, salt)
        answers = [future.result(PATIENCE) for future in futures]
    assert {answer.status for answer in answers} == {502}
    assert {answer.outcome for answer in answers} == {"cut"}


def test_followers_do_not_wait_for_a_hanging_leader_for_ever(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy(follow_timeout=0.3)
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word), times=1)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask, running, chat(salt))
        upstream.wait_for(1, salt)
        follower = pool.submit(ask, running, chat(salt))
        assert follower.result(PATIENCE).status == 200
        assert not leader.done()
        word.set()
        assert leader.result(PATIENCE).status == 200
    assert len(upstream.seen(salt)) == 2


def test_embeddings_that_hang_are_waited_for_so_long_and_no_longer(
    proxy: Starting, upstream: Upstream, salt: str
) -> None:
    running = proxy(follow_timeout=0.1)
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word), times=1)
    with running.connection("api.openai.com") as connection:
        embed(salt).send(connection)
        upstream.wait_for(1, salt)
        assert ask(running, embed(salt)).status == 200
        word.set()
        assert got(connection.getresponse()).status == 200
    assert len(upstream.seen(salt)) == 2


def test_requests_that_differ_do_not_share_and_do_not_wait(caching: Proxy, upstream: Upstream, salt: str) -> None:
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word))
    asks = [chat(salt), chat(f"{salt} "), chat(salt, temperature=1), chat(salt, stream=True), chat(salt, n=1)]
    with ThreadPoolExecutor() as pool:
        futures = at_once(caching, asks, pool, salt)
        word.set()
        answers = [future.result(PATIENCE) for future in futures]
    assert len(upstream.seen(salt)) == len(asks)
    assert len({answer.body for answer in answers}) == len(asks)
    assert {answer.outcome for answer in answers} == {"miss"}


def test_recording_shares_nothing_and_keeps_the_order_of_asking(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy("record")
    late = threading.Event()

    def first_is_slow(sending: Sending) -> None:
        first = sending is upstream.sent(salt)[0]
        (behaviours.stalled(late) if first else behaviours.answering)(sending)

    upstream.script(salt, first_is_slow)
    asked = chat(salt)
    with running.connection(asked.host) as slow:
        asked.send(slow)
        upstream.wait_for(1, salt)
        second = ask(running, asked)
        late.set()
        first = got(slow.getresponse())
    assert len(upstream.seen(salt)) == 2
    assert first.body != second.body
    running.restart(mode="replay")
    assert [ask(running, asked).body for _ in range(2)] == [first.body, second.body]
