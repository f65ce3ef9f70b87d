"""Which hosts are opened, which are left alone, and when a packet leaves at all."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import replace

import pytest
from cryptography import x509

from tests.wire.asking import Ask, ask, chat, embed, got, streams
from tests.wire.certificates import Authority
from tests.wire.conftest import Starting
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.upstream import Upstream

ELSEWHERE = "bank.example"


def issuer(connection: ssl.SSLSocket) -> str:
    """Who made out the certificate that the other side shows."""
    shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).issuer.rfc4514_string()


def test_other_hosts_show_their_own_certificate(proxy: Starting, upstream: Upstream, authority: Authority) -> None:
    running = proxy(upstream={"connect_to": {f"{ELSEWHERE}:443": upstream.address}})
    theirs = ssl.create_default_context(cadata=authority.pem.decode())
    with running.tunnel(ELSEWHERE, context=theirs) as connection:
        assert issuer(connection) == "CN=wiretape test authority"
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: bank.example\r\nx-wiretape-canary: 1\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    (request,) = upstream.seen(lambda request: request.host == ELSEWHERE)
    assert request.header("x-wiretape-canary"), "only who reads a request can strip a header from it"
    assert not any(ELSEWHERE in line for line in running.log)


def test_providers_show_ours(proxy: Starting) -> None:
    running = proxy()
    with running.tunnel("api.openai.com") as connection:
        assert "wiretape" in issuer(connection)
        assert "test" not in issuer(connection)


def test_plain_http_to_other_hosts_passes(caching: Proxy, upstream: Upstream, salt: str) -> None:
    plain = http.client.HTTPConnection(caching.host, caching.port, timeout=PATIENCE)
    asked = chat(salt)
    answer = got(replace(asked, target=f"http://localhost:{upstream.port}{asked.target}").on(plain))
    plain.close()
    assert (answer.status, answer.outcome) == (200, "")
    assert len(upstream.seen(salt)) == 1


def test_other_hosts_may_be_refused(proxy: Starting, upstream: Upstream, salt: str) -> None:
    wired = dict.fromkeys((f"{ELSEWHERE}:443", "api.openai.com:443"), upstream.address)
    running = proxy(unknown="refuse", upstream={"connect_to": wired})
    before = upstream.connections
    with pytest.raises(ConnectionError, match="403"), running.tunnel(ELSEWHERE):
        pass
    with running.client() as client:
        plain = client.get(f"http://{ELSEWHERE}/")
    assert plain.status_code == 403
    assert "unknown" in plain.text
    assert upstream.connections == before
    assert ask(running, chat(salt)).status == 200


@pytest.mark.parametrize("mode", ["cache", "replay", "read"])
def test_on_a_hit_no_packet_leaves(mode: str, proxy: Starting, upstream: Upstream, salt: str) -> None:
    """There is no such host (RFC 6761 reserves `invalid`), and by then nobody who answers in its place."""
    host = "api.provider.invalid"
    block = {"hosts": [host], "speaks": {"openai": "/v1"}}
    wired = {"connect_to": {f"{host}:443": upstream.address}}
    running = proxy("cache" if mode == "cache" else "record", providers={"nowhere": block}, upstream=wired)
    asks = [Ask("", host, asked.target, asked.body) for asked in (chat(salt), chat(salt, stream=True), embed(salt))]
    before = [ask(running, asked) for asked in asks]
    assert {answer.status for answer in before} == {200}
    connections = upstream.connections
    settings = {**running.settings["upstream"], "connect_to": {}}
    running.restart(mode=mode, upstream=settings)
    with upstream.down():
        again = [ask(running, asked) for asked in asks]
    assert [(answer.status, answer.outcome) for answer in again] == [(200, "hit")] * 3
    assert [answer.body for answer in again[:2]] == [answer.body for answer in before[:2]]
    assert upstream.connections == connections


def test_a_hit_needs_no_provider_and_a_miss_says_so(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy()
    names = ("openai-chat", "anthropic", "gemini-sse", "cohere", "bedrock-converse")
    asks = [asked for asked in streams(salt) if asked.name in names]
    bodies = [ask(running, asked).body for asked in asks]
    with upstream.down():
        again = [ask(running, asked) for asked in asks]
        missed = {asked.name: ask(running, asked) for asked in streams(f"other {salt}") if asked.name in names}
    assert [(answer.outcome, answer.body) for answer in again] == [("hit", body) for body in bodies]
    assert {answer.status for answer in missed.values()} == {502}
    assert {answer.outcome for answer in missed.values()} == {"cut"}
    said = {name: json.loads(answer.body) for name, answer in missed.items()}
    assert said["openai-chat"]["error"]["message"].startswith("wiretape: cannot connect to api.openai.com")
    assert said["anthropic"]["type"] == "error"
    assert said["anthropic"]["error"]["message"].startswith("wiretape: ")
    assert said["gemini-sse"]["error"]["code"] == 502
    assert said["cohere"]["message"].startswith("wiretape: ")
    assert said["bedrock-converse"]["message"].startswith("wiretape: ")
    assert ask(running, chat(f"other {salt}", stream=True)).outcome == "miss", "the next one is asked again"
