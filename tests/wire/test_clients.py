"""Clients of every kind: HTTP/2 and HTTP/1.0, encoded requests, and those that wait for leave to send."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess

import httpx2
import pytest

from tests.wire import behaviours
from tests.wire.asking import Ask, ask, chat
from tests.wire.behaviours import Coding, Gate
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.upstream import Upstream

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def url(asked: Ask) -> str:
    return f"https://{asked.host}{asked.target}"


@STREAM
def test_http_2(stream: bool, caching: Proxy, upstream: Upstream, salt: str) -> None:
    asked = chat(salt, stream=stream)
    with caching.client(http2=True) as client:
        answers = [client.post(url(asked), json=asked.body) for _ in range(2)]
    assert [answer.http_version for answer in answers] == ["HTTP/2", "HTTP/2"]
    assert [answer.headers["x-wiretape-outcome"] for answer in answers] == ["miss", "hit"]
    assert answers[0].content == answers[1].content == upstream.sent(salt)[0].answer.body
    assert ask(caching, asked).outcome == "hit", "over HTTP/1.1 it is the same request"


def test_http_2_streams_are_live(caching: Proxy, upstream: Upstream, salt: str) -> None:
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    gate.allow()
    asked = chat(salt, stream=True)
    with caching.client(http2=True) as client, client.stream("POST", url(asked), json=asked.body) as response:
        (sending,) = upstream.sent(salt)
        arrived = b""
        for piece in response.iter_bytes():
            arrived += piece
            assert len(sending.body) <= len(arrived), "a piece was sent before the one before it had come"
            gate.allow()
    assert arrived == sending.answer.body


async def test_http_2_carries_many_requests_at_once(caching: Proxy, upstream: Upstream, salt: str) -> None:
    """The slow one does not hold up the others of its connection."""
    gate = Gate()
    upstream.script(f"{salt} slow", behaviours.gated(gate))
    gate.allow()
    slow = chat(f"{salt} slow", stream=True)
    async with (
        httpx2.AsyncClient(
            proxy=caching.url, verify=caching.trust(), trust_env=False, timeout=PATIENCE, http2=True
        ) as client,
        client.stream("POST", url(slow), json=slow.body) as response,
    ):
        asks = [chat(f"{salt} {number}", stream=bool(number % 2)) for number in range(10)]
        answers = await asyncio.gather(*(client.post(url(asked), json=asked.body) for asked in asks))
        assert {answer.status_code for answer in answers} == {200}
        gate.open()
        assert await response.aread() == upstream.sent(f"{salt} slow")[0].answer.body
    for asked, answer in zip(asks, answers, strict=True):
        again = ask(caching, asked)
        assert (again.outcome, again.body) == ("hit", answer.content)


def test_an_http_2_client_that_leaves_early_does_not_lose_the_answer(
    caching: Proxy, upstream: Upstream, salt: str
) -> None:
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    gate.allow()
    asked = chat(salt, stream=True)
    with caching.client(http2=True) as client:
        with client.stream("POST", url(asked), json=asked.body) as response:
            assert next(response.iter_bytes())
        assert client.post(url(asked), json=chat(f"{salt} else").body).status_code == 200
        gate.open()
    again = ask(caching, asked)
    assert again.outcome == "hit"
    assert again.body == upstream.sent(f'{salt}"')[0].answer.body
    assert len(upstream.seen(f'{salt}"')) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
@STREAM
def test_curl_in_every_version(version: str, stream: bool, caching: Proxy, upstream: Upstream, salt: str) -> None:
    asked = chat(salt, stream=stream)
    command = ["curl", "--silent", "--show-error", "--fail", "--no-buffer", version, "--proxy", caching.url]
    command += ["--cacert", str(caching.ca), "--json", json.dumps(asked.body), url(asked)]
    bodies = [subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE).stdout for _ in range(2)]
    assert bodies == [upstream.sent(salt)[0].answer.body] * 2
    assert len(upstream.seen(salt)) == 1


def http_1_0(asked: Ask) -> bytes:
    body = json.dumps(asked.body).encode()
    head = f"POST {asked.target} HTTP/1.0\r\nHost: {asked.host}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


def read_to_close(connection: ssl.SSLSocket | socket.socket) -> tuple[bytes, bytes]:
    """Head and body of an answer that ends with its connection."""
    data = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return head.lower(), body


@STREAM
def test_http_1_0_clients_get_no_chunks(stream: bool, caching: Proxy, upstream: Upstream, salt: str) -> None:
    asked = chat(salt, stream=stream)
    for outcome in (b"miss", b"hit"):
        with caching.tunnel(asked.host) as connection:
            connection.sendall(http_1_0(asked))
            head, body = read_to_close(connection)
        assert b"x-wiretape-outcome: " + outcome in head
        assert b"transfer-encoding" not in head
        assert body == upstream.sent(salt)[0].answer.body


@STREAM
@pytest.mark.parametrize("coding", list(behaviours.CODINGS))
def test_encoded_requests_are_understood_and_go_out_as_they_are(
    coding: Coding, stream: bool, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    asked = chat(salt, stream=stream)
    packed = behaviours.CODINGS[coding][0](json.dumps(asked.body).encode())
    upstream.script(lambda request: request.body == packed, behaviours.giving(200, b"", ()))
    headers = {"content-type": "application/json", "content-encoding": coding}
    with caching.client() as client:
        # It cannot be read by the scripted provider, but it says what the same request in plain words has stored.
        first = ask(caching, asked)
        second = client.post(url(asked), content=packed, headers=headers)
        assert (second.headers["x-wiretape-outcome"], second.content) == ("hit", first.body)
        fresh = client.post(url(asked), content=packed, headers={**headers, "cache-control": "no-cache"})
        assert fresh.headers["x-wiretape-outcome"] == "miss"
    (request,) = upstream.seen(lambda request: request.body == packed)
    assert request.header("content-encoding") == coding


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "unheard-of"])
def test_a_request_that_is_not_what_its_encoding_says_passes_unread(
    coding: str, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    asked = chat(salt)
    with caching.client() as client:
        for _ in range(2):
            answer = client.post(url(asked), json=asked.body, headers={"content-encoding": coding})
            assert (answer.status_code, answer.headers["x-wiretape-outcome"]) == (200, "pass")
    assert len(upstream.seen(salt)) == 2


@pytest.mark.parametrize("accepted", ["gzip", "br;q=1.0, zstd", "*", "identity;q=0", ""])
def test_what_a_client_accepts_makes_no_difference(
    accepted: str, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    upstream.script(salt, behaviours.encoded("gzip"))
    first, second = ask(caching, chat(salt)), ask(caching, chat(salt), accept_encoding=accepted)
    assert (first.outcome, second.outcome) == ("miss", "hit")
    assert first.body == second.body == upstream.sent(salt)[0].answer.body
    assert "content-encoding" not in second.headers
    assert second.headers["content-length"] == str(len(second.body))


@STREAM
def test_a_client_may_wait_for_leave_to_send(stream: bool, caching: Proxy, upstream: Upstream, salt: str) -> None:
    asked = chat(salt, stream=stream)
    head, _, body = http_1_0(asked).replace(b"HTTP/1.0", b"HTTP/1.1").partition(b"\r\n\r\n")
    for outcome in (b"miss", b"hit"):
        with caching.tunnel(asked.host) as connection:
            connection.sendall(head + b"\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
            leave = b""
            while not leave.endswith(b"\r\n\r\n"):
                leave += connection.recv(1)
            assert leave.startswith(b"HTTP/1.1 100 ")
            connection.sendall(body)
            answered, _ = read_to_close(connection)
        assert answered.startswith(b"http/1.1 200 ")
        assert b"x-wiretape-outcome: " + outcome in answered
    assert len(upstream.seen(salt)) == 1
