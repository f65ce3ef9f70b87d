"""Streams through a real proxy: live on a miss, kept only when whole, the same bytes again on a hit."""

from __future__ import annotations

import http.client
import ssl

import pytest

from tests.wire import behaviours
from tests.wire.asking import Ask, ask, chat, got, streams
from tests.wire.behaviours import Ending, Framing, Gate, Sending
from tests.wire.conftest import Starting
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.upstream import Upstream

NAMES = [asked.name for asked in streams("")]


@pytest.fixture(params=NAMES)
def asked(request: pytest.FixtureRequest, salt: str) -> Ask:
    """One streamed request of each protocol."""
    return streams(salt)[NAMES.index(request.param)]


def read_in_step(proxy: Proxy, upstream: Upstream, asked: Ask, salt: str) -> str:
    """Read a stream of which each piece is sent only once the one before has reached us; its outcome."""
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    with proxy.connection(asked.host) as connection:
        gate.allow()  # servers may send their head with the first piece
        response = asked.on(connection)
        gate.read_in_step(response, upstream.sent(salt)[-1])
        return str(response.getheader("x-wiretape-outcome"))


def test_each_piece_arrives_before_the_next_is_sent(asked: Ask, caching: Proxy, upstream: Upstream, salt: str) -> None:
    assert read_in_step(caching, upstream, asked, salt) == "miss"
    again = ask(caching, asked)
    assert again.outcome == "hit"
    assert again.body == upstream.sent(salt)[0].body
    assert len(upstream.seen(salt)) == 1


@pytest.mark.parametrize("mode", ["record", "read", "off"])
def test_in_every_mode_that_asks(mode: str, proxy: Starting, upstream: Upstream, salt: str) -> None:
    outcome = {"record": "miss", "read": "miss", "off": "pass"}[mode]
    assert read_in_step(proxy(mode), upstream, chat(salt, stream=True), salt) == outcome


def test_what_no_protocol_knows_is_live_too(caching: Proxy, upstream: Upstream, salt: str) -> None:
    def behave(sending: Sending) -> None:
        sending.answer.status, sending.answer.pieces = 200, [b"one", b"two", b"three"]
        behaviours.gated(gate)(sending)

    gate = Gate()
    upstream.script(salt, behave)
    unknown = Ask("unknown", "api.openai.com", "/v1/brand/new", {"text": salt})
    with caching.connection(unknown.host) as connection:
        gate.allow()
        gate.read_in_step(unknown.on(connection), upstream.sent(salt)[-1])


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("ending", ["reset", "ragged", "close"])
def test_a_cut_stream_is_never_kept(
    framing: Framing, ending: Ending, asked: Ask, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    upstream.script(salt, behaviours.cut(3, ending, framing), times=1)
    with caching.connection(asked.host) as connection:
        try:
            body = asked.on(connection).read()
        except (http.client.HTTPException, OSError):
            body = b""
    whole = ask(caching, asked)
    assert whole.outcome == "miss", "a part of an answer was kept"
    assert whole.body == upstream.sent(salt)[1].answer.body
    assert body != upstream.sent(salt)[0].answer.body
    assert ask(caching, asked).outcome == "hit"


def test_the_client_learns_that_a_stream_was_cut(caching: Proxy, upstream: Upstream, salt: str) -> None:
    upstream.script(salt, behaviours.cut(3), times=1)
    asked = chat(salt, stream=True)
    with (
        caching.connection(asked.host) as connection,
        pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)),
    ):
        asked.on(connection).read()


ERRORS = {
    "openai-chat": b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n',
    "openai-responses": b'event: error\ndata: {"type": "error", "code": "server_error", "message": "no"}\n\n',
    "anthropic": b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}\n\n',
    "gemini-sse": b'data: {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}\n\n',
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_stream_with_an_error_in_it_passes_but_is_not_kept(
    name: str, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    asked = streams(salt)[NAMES.index(name)]
    upstream.script(salt, behaviours.interrupted(3, ERRORS[name]), times=1)
    first = ask(caching, asked)
    assert first.body.endswith(ERRORS[name])
    assert ask(caching, asked).outcome == "miss"
    assert ask(caching, asked).outcome == "hit"


def test_a_client_that_leaves_early_does_not_lose_the_answer(
    asked: Ask, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    gate.allow(2)
    with caching.connection(asked.host) as connection:
        asked.on(connection).read(1)
    gate.open()
    (sending,) = upstream.sent(salt)
    assert sending.done.wait(PATIENCE)
    again = ask(caching, asked)
    assert again.outcome == "hit"
    assert again.body == sending.answer.body
    assert len(upstream.seen(salt)) == 1


def test_a_connection_serves_streams_and_hits_in_turn(caching: Proxy, salt: str) -> None:
    with caching.connection("api.openai.com") as connection:
        answers = [got(chat(f"{salt} {n // 2}", stream=bool(n // 2 % 2)).on(connection)) for n in range(8)]
        assert [answer.outcome for answer in answers] == ["miss", "hit"] * 4
        assert all(answers[n].body == answers[n + 1].body for n in range(0, 8, 2))
