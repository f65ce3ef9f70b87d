"""The scripted upstream keeps its word: without the proxy between, the SDKs and plain clients see what was scripted."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.wire import behaviours
from tests.wire.behaviours import PATIENCE, Behaviour, Gate
from tests.wire.certificates import Authority, Kind
from tests.wire.heard import Heard
from tests.wire.sdks import QUIET, WAYS, Way
from tests.wire.upstream import Upstream

pytestmark = QUIET


@contextmanager
def connected(upstream: Upstream, host: str = "api.openai.com") -> Iterator[http.client.HTTPSConnection]:
    """A connection through the upstream's own CONNECT."""
    trusting = ssl.create_default_context(cadata=upstream.authority.pem.decode())
    connection = http.client.HTTPSConnection("127.0.0.1", upstream.port, timeout=PATIENCE, context=trusting)
    connection.set_tunnel(host, 443)
    try:
        yield connection
    finally:
        connection.close()


def asked(text: str, stream: bool = False) -> bytes:
    """A chat request."""
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}).encode()


def post(connection: http.client.HTTPSConnection, text: str, stream: bool = False) -> http.client.HTTPResponse:
    """Ask for a chat completion."""
    connection.request("POST", "/v1/chat/completions", asked(text, stream), {"content-type": "application/json"})
    return connection.getresponse()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_sdks_understand_its_answers(
    way: Way, upstream: Upstream, salt: str, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(upstream.authority.pem)
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://{upstream.address}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    first, second = way.ask(salt), way.ask(salt)
    assert len(upstream.seen(salt)) == len(heard) >= 2
    if "embed" not in way.name:
        assert first != second, "two answers cannot be told apart"


def test_connections_are_kept_alive(upstream: Upstream, salt: str) -> None:
    with connected(upstream) as connection:
        bodies = [post(connection, salt).read() for _ in range(3)]
    assert len(set(bodies)) == 3
    requests = upstream.seen(salt)
    assert len({request.connection for request in requests}) == 1
    assert [request.host for request in requests] == ["api.openai.com"] * 3
    assert requests[0].tls
    assert requests[0].body == asked(salt)


def test_each_piece_waits_for_the_gate(upstream: Upstream, salt: str) -> None:
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    with connected(upstream) as connection:
        response = post(connection, salt, stream=True)
        (sending,) = upstream.sent(salt)
        for number, piece in enumerate(sending.answer.pieces):
            assert len(sending.sends) <= number, "sent before it was allowed"
            gate.allow()
            assert response.read(len(piece)) == piece
        assert response.read() == b""


def test_a_stall_ends_on_the_test_s_word_and_a_leaving_client_is_noticed(upstream: Upstream, salt: str) -> None:
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word))
    with connected(upstream) as connection:
        connection.request("POST", "/v1/chat/completions", asked(salt))
        upstream.wait_for(1, salt)
        (sending,) = upstream.sent(salt)
        assert not sending.done.is_set()
    assert sending.client_gone.wait(PATIENCE)
    word.set()
    assert sending.done.wait(PATIENCE)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (behaviours.cut(2), ConnectionResetError),
        (behaviours.cut(2, "ragged"), http.client.IncompleteRead),
        (behaviours.cut(2, "close"), http.client.IncompleteRead),
        (behaviours.wrong_length(5), http.client.IncompleteRead),
        (behaviours.hanging_up, http.client.RemoteDisconnected),
    ],
    ids=["reset", "ragged", "close", "length", "nothing"],
)
def test_a_cut_is_a_cut(behaviour: Behaviour, error: type[Exception], upstream: Upstream, salt: str) -> None:
    upstream.script(salt, behaviour, times=1)
    with connected(upstream) as connection:
        with pytest.raises((error, ssl.SSLEOFError, ConnectionResetError)):
            post(connection, salt, stream=True).read()
        connection.close()
        assert post(connection, salt).status == 200, "the script was for one request"


def test_a_body_ended_by_close_is_whole_or_not_without_a_sign(upstream: Upstream, salt: str) -> None:
    upstream.script(salt, behaviours.cut(2, "close", "close"), times=1)
    upstream.script(salt, behaviours.until_close, times=1)
    with connected(upstream) as connection:
        whole = post(connection, salt, stream=True).read()
    with connected(upstream) as connection:
        part = post(connection, salt, stream=True).read()
    assert whole.endswith(b"data: [DONE]\n\n")
    assert part
    assert not part.endswith(b"data: [DONE]\n\n")


def test_encoded_bodies(upstream: Upstream, salt: str) -> None:
    for coding, (_, undo) in behaviours.CODINGS.items():
        upstream.script(salt, behaviours.encoded(coding), times=1)
        with connected(upstream) as connection:
            response = post(connection, salt)
            assert response.getheader("content-encoding") == coding
            assert salt in json.loads(undo(response.read()))["choices"][0]["message"]["content"]


def test_given_answers_and_errors_within_streams(upstream: Upstream, salt: str) -> None:
    upstream.script(salt, behaviours.interrupted(1, b'data: {"error": {}}\n\n'), times=1)
    upstream.script(salt, behaviours.giving(429, b"{}", [("Retry-After", "7")]), times=1)
    with connected(upstream) as connection:
        given = post(connection, salt)
        assert (given.status, given.read(), given.getheader("retry-after")) == (429, b"{}", "7")
        body = post(connection, salt, stream=True).read()
    assert body.endswith(b'data: {"error": {}}\n\n')
    assert body.count(b"data:") == 2


def test_a_huge_body_is_still_json(upstream: Upstream, salt: str) -> None:
    upstream.script(salt, behaviours.huge(3 << 20))
    with connected(upstream) as connection:
        body = post(connection, salt).read()
    assert len(body) > 3 << 20
    assert json.loads(body)["object"] == "chat.completion"


def test_down_means_refused_and_up_again_means_the_same_port(authority: Authority, salt: str) -> None:
    with Upstream(authority) as upstream, connected(upstream) as connection:
        post(connection, salt).read()
        with upstream.down(), connected(upstream) as other, pytest.raises(ConnectionRefusedError):
            post(other, salt)
        with connected(upstream) as other:
            assert post(other, salt).status == 200
        assert upstream.connections == 2


@pytest.mark.parametrize(
    ("kind", "why"),
    [("wrong-name", "mismatch"), ("self-signed", "self-signed"), ("expired", "expired")],
)
def test_bad_certificates_are_bad_in_their_one_way(kind: Kind, why: str, authority: Authority) -> None:
    with (
        Upstream(authority, kind) as upstream,
        connected(upstream) as connection,
        pytest.raises(ssl.SSLCertVerificationError, match=why),
    ):
        post(connection, "hello")
    assert upstream.seen() == []


def test_a_client_may_wait_for_100_continue(upstream: Upstream, salt: str) -> None:
    body = asked(salt)
    with connected(upstream) as connection:
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("content-length", str(len(body)))
        connection.putheader("expect", "100-continue")
        connection.endheaders()
        assert connection.sock.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.send(body)
        assert connection.getresponse().status == 200
