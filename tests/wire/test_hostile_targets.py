"""Requests that name another target than they go to: never a loop, never a wrong hit."""

from __future__ import annotations

import json
import socket

import pytest

from tests.wire.asking import Ask, ask
from tests.wire.conftest import Starting
from tests.wire.hostile import CHAT, HOST, head, plain, raw, read, said, send
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.upstream import Upstream

pytestmark = pytest.mark.usefixtures("calm")


@pytest.mark.parametrize("host", ["other.example", "api.openai.com:444", "[", "[::1", "api.openai.com:x", "a b", "é"])
def test_another_host_header(host: str, caching: Proxy, replaying: Proxy, upstream: Upstream, salt: str) -> None:
    body = said(salt)
    ask(caching, Ask("", HOST, CHAT, json.loads(body)))
    asked = head("POST", CHAT, f"Content-Length: {len(body)}", host=host) + body
    answer = raw(caching, asked)
    assert b"x-wiretape-outcome: hit" not in answer
    before = len(upstream.seen())
    assert b" 200 " not in raw(replaying, asked).partition(b"\r\n")[0]
    assert len(upstream.seen()) == before


def test_the_host_of_the_tunnel_counts_not_the_one_in_tls(
    caching: Proxy, replaying: Proxy, upstream: Upstream, salt: str
) -> None:
    body = said(salt)
    first = send(caching, body)
    for proxy in (caching, replaying):
        before = len(upstream.seen())
        with socket.create_connection((proxy.host, proxy.port), PATIENCE) as bare:
            bare.sendall(b"CONNECT api.groq.com:443 HTTP/1.1\r\nHost: api.groq.com:443\r\n\r\n")
            assert b" 200 " in bare.recv(1 << 10)
            with proxy.trust().wrap_socket(bare, server_hostname=HOST) as secured:
                secured.sendall(head("POST", CHAT, f"Content-Length: {len(body)}") + body)
                answer = read(secured)
        assert first.body not in answer
        assert b"x-wiretape-outcome: hit" not in answer
        assert proxy is caching or len(upstream.seen()) == before


def test_we_are_no_way_to_ourselves(caching: Proxy) -> None:
    names = ["127.0.0.1", "127.9.9.9", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "[::1]", "[::ffff:7f00:1]"]
    names += ["localhost", "LOCALHOST", "localhost."]
    for name in names:
        where = f"{name}:{caching.port}"
        with socket.create_connection((caching.host, caching.port), PATIENCE) as connection:
            connection.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
            status = connection.recv(1 << 12).split(b" ")[1]
            assert status != b"200", f"a tunnel to ourselves as {name}"
        asked = f"GET http://{where}/healthz HTTP/1.1\r\nHost: {where}\r\nConnection: close\r\n\r\n"
        assert plain(caching, asked.encode()).startswith(b"HTTP/1.1 200 "), "this is our own answer"


def test_a_loop_through_a_provider_path_ends(caching: Proxy) -> None:
    answer = plain(caching, head("GET", "/nothing/here", host=f"{caching.host}:{caching.port}"))
    assert answer.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("unknown", ["pass", "refuse"])
def test_absolute_form_to_unknown_hosts(unknown: str, proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy("replay", unknown=unknown, upstream={"connect_to": {"nobody.test:80": upstream.address}})
    target = f"/?{salt.replace(' ', '-')}"
    asked = f"GET http://nobody.test{target} HTTP/1.1\r\nHost: nobody.test\r\nConnection: close\r\n\r\n"
    answer = plain(running, asked.encode())
    seen = upstream.seen(salt.replace(" ", "-"))
    if unknown == "pass":
        assert [request.target for request in seen] == [target]
        assert b"x-wiretape" not in answer
    else:
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert seen == []


TRICKS = [
    "//v1/chat/completions",
    "/v1//chat/completions",
    "/v1/../v1/chat/completions",
    "/v1/./chat/completions",
    "/v1/chat%2Fcompletions",
    "/v1/chat/completions/",
    "/v1/chat/completions%00",
    "/v1/chat/completions;x=1",
    "/V1/chat/completions",
    "/v1/chat/completions#x",
    "/v1/chat/completions%3Fx",
]


@pytest.mark.parametrize("target", TRICKS)
def test_path_tricks_never_meet_an_entry(
    target: str, caching: Proxy, replaying: Proxy, upstream: Upstream, salt: str
) -> None:
    body = said(salt)
    first = send(caching, body)
    asked = head("POST", target, f"Content-Length: {len(body)}") + body
    assert first.body not in raw(caching, asked)
    before = len(upstream.seen())
    assert b" 200 " not in raw(replaying, asked).partition(b"\r\n")[0]
    assert len(upstream.seen()) == before


def test_queries_hosts_and_levels_are_apart(caching: Proxy, salt: str) -> None:
    body = said(salt)
    asked = [
        send(caching, body),
        send(caching, body, target=f"{CHAT}?a=1"),
        send(caching, body, target=f"{CHAT}?a=2"),
        send(caching, body, target=f"{CHAT}?a=1&a=2"),
        send(caching, body, host="api.mistral.ai"),
        send(caching, body, x_wiretape_match="exact"),
        send(caching, body, x_wiretape_match="content"),
        send(caching, body, openai_beta="x=v2"),
    ]
    assert [answer.outcome for answer in asked] == ["miss"] * len(asked)
    assert len({answer.headers["x-wiretape-key"] for answer in asked}) == len(asked)


@pytest.mark.parametrize("level", ["", "Exact", "none", "normalized, content", "content\t;"])
def test_an_unknown_level_is_refused(level: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    answer = send(caching, said(salt), x_wiretape_match=level)
    assert (answer.status, answer.outcome) == (400, "refused")
    assert "x-wiretape-match" in json.loads(answer.body)["error"]["message"]
    assert upstream.seen(salt) == []
