"""Messages framed, named and upgraded in every odd way: nothing is smuggled past, nothing crashes."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.wire.behaviours import Sending
from tests.wire.hostile import CHAT, HOST, head, raw, said, send
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream

pytestmark = pytest.mark.usefixtures("calm")


def test_chunked_requests_are_the_same_requests(caching: Proxy, upstream: Upstream, salt: str) -> None:
    body = said(salt)
    chunks = b"".join(b"%x;ext=1\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\n\r\n"
    first = raw(caching, head("POST", CHAT, "Transfer-Encoding: chunked") + chunks)
    assert b" 200 OK" in first
    assert upstream.seen(salt)[0].body == body
    assert send(caching, body).outcome == "hit"


SMUGGLED = f"POST /v1/smuggled HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\n{{}}".encode()


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Content-Length: 5", "Content-Length: 90"),
        ("Content-Length: 5, 90",),
        ("Content-Length: +5",),
        ("Content-Length: 5", "X-Y: z\r\n\tTransfer-Encoding: chunked"),
    ],
)
def test_nothing_is_smuggled_past(lines: tuple[str, ...], caching: Proxy, replaying: Proxy, upstream: Upstream) -> None:
    for proxy in (caching, replaying):
        before = len(upstream.seen())
        raw(proxy, head("POST", CHAT, *lines) + b"0\r\n\r\n" + SMUGGLED)
        assert not [seen for seen in upstream.seen()[before:] if "smuggled" in seen.target]
        assert proxy is caching or len(upstream.seen()) == before


@pytest.mark.parametrize(
    "line",
    [
        "X-Fold: a\r\n b",
        "X-Two: a\r\nX-Two: b",
        "X-Empty:",
        "X-Bytes: \xe9\xff\x80",
        "X-Tab: \ta\t",
        "x\xe9: 1",
        ": no",
    ],
)
def test_strange_headers(line: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    body = said(salt)
    answer = raw(caching, head("POST", CHAT, line, f"Content-Length: {len(body)}") + body)
    status = int(answer.split()[1])
    assert status in (200, 400, 502)
    if status == 200:
        assert send(caching, body).outcome == "hit"
        assert len(upstream.seen(salt)) == 1


def test_a_header_of_a_megabyte(caching: Proxy, upstream: Upstream, salt: str) -> None:
    body = said(salt)
    answer = raw(caching, head("POST", CHAT, "X-Long: " + "x" * (1 << 20), f"Content-Length: {len(body)}") + body)
    assert answer == b"" or int(answer.split()[1]) in (200, 400, 413, 431, 502)
    assert send(caching, body).status == 200


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "GET", "BREW"])
def test_other_methods_pass_and_never_meet_an_entry(method: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    first = send(caching, said(salt))
    other = send(caching, said(salt), method=method)
    assert other.outcome == "pass"
    assert upstream.seen(salt)[-1].method == method
    assert (other.body == b"") == (method == "HEAD")
    assert send(caching, said(salt)).body == first.body


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "BREW"])
def test_other_methods_are_refused_in_replay(method: str, replaying: Proxy, upstream: Upstream, salt: str) -> None:
    before = len(upstream.seen())
    assert send(replaying, said(salt), method=method).status == 424
    assert len(upstream.seen()) == before


def test_nonsense_on_the_line(caching: Proxy, salt: str) -> None:
    for nonsense in (b"\x00" * 64, b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nA B: c\r\n\r\n"):
        with caching.tunnel(HOST) as connection:
            connection.sendall(nonsense)
            assert connection.recv(1 << 12)[:12] in (b"HTTP/1.1 400", b""), nonsense
    assert send(caching, said(salt)).outcome == "miss"


UPGRADE = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def switching(sending: Sending) -> None:
    """Agree to talk WebSocket, then send back the payload of one masked text frame."""
    key = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    lines = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}"
    sending.connection.sendall(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n\r\n".encode())
    frame = sending.connection.recv(1 << 10)
    mask, payload = frame[2:6], frame[6:]
    text = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    sending.connection.sendall(bytes([0x81, len(text)]) + text)
    sending.connection.recv(1 << 10)
    sending.break_off("close")


def test_websockets_pass(caching: Proxy, upstream: Upstream) -> None:
    upstream.script("/v1/realtime", switching, times=1)
    asked = head("GET", "/v1/realtime?model=m", *UPGRADE).replace(b"Connection: close", b"Connection: Upgrade")
    with caching.tunnel(HOST) as connection:
        connection.sendall(asked)
        assert connection.recv(1 << 10).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x81\x85\x00\x00\x00\x00hello")
        assert connection.recv(1 << 10) == b"\x81\x05hello"


def test_websockets_are_refused_in_replay(replaying: Proxy, upstream: Upstream) -> None:
    before = upstream.connections
    assert b" 424 " in raw(replaying, head("GET", "/v1/realtime?model=m", *UPGRADE))
    assert upstream.connections == before


def test_open_files_come_back(caching: Proxy) -> None:
    """Last of all: whatever was sent, nothing is left open."""
    folder = Path(f"/proc/{caching.pid}/fd")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert len(list(folder.iterdir())) < min(limit, 200)
