"""Our own address: what is meant for us, where it goes, and what we say ourselves."""

from __future__ import annotations

import json

import pytest
from mitmproxy import http
from mitmproxy.test.tutils import treq

from addons.door import Door
from addons.protocols import PROTOCOLS
from config import Providers

HERE = ("127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("listening", "sockname", "host", "port", "ours"),
    [
        ("127.0.0.1", HERE, "127.0.0.1", 8080, True),
        ("127.0.0.1", HERE, "localhost", 8080, True),
        ("127.0.0.1", HERE, "LOCALHOST.", 8080, True),
        ("127.0.0.1", HERE, "127.0.0.2", 8080, True),
        ("127.0.0.1", HERE, "127.1", 8080, True),
        ("127.0.0.1", HERE, "::1", 8080, True),
        ("0.0.0.0", ("10.1.2.3", 8080), "10.1.2.3", 8080, True),
        ("proxy.local", ("10.1.2.3", 8080), "Proxy.Local", 8080, True),
        ("127.0.0.1", HERE, "127.0.0.1", 11434, False),
        ("127.0.0.1", HERE, "api.openai.com", 8080, False),
        ("0.0.0.0", ("10.1.2.3", 8080), "10.1.2.4", 8080, False),
        ("127.0.0.1", None, "127.0.0.1", 8080, False),
    ],
)
def test_what_is_meant_for_us(
    listening: str, sockname: tuple[str, int] | None, host: str, port: int, ours: bool
) -> None:
    assert Door(listening).is_ours(sockname, host, port) is ours


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/v1/chat/completions?a=b", "https://api.openai.com/v1/chat/completions?a=b"),
        ("/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("/mistral/v1/chat/completions", "https://api.mistral.ai/v1/chat/completions"),
        ("/ollama/api/chat", "http://localhost:11434/api/chat"),
    ],
)
def test_what_comes_through_the_door_goes_to_its_provider(path: str, url: str) -> None:
    request = treq(path=path.encode(), host="127.0.0.1", port=8080, scheme=b"http", authority=b"127.0.0.1:8080")
    target = Providers.load({}, PROTOCOLS).at_door(path.partition("?")[0])
    assert target is not None
    Door("127.0.0.1").redirect(request, *target)
    assert request.url == url
    assert request.headers["Host"] == request.authority == url.split("/")[2]


def say(path: str) -> http.Response:
    return Door("127.0.0.1").answer(treq(path=path.encode()))


def test_what_we_say_ourselves() -> None:
    healthy = say("/healthz?verbose")
    assert (healthy.status_code, healthy.json()) == (200, {"status": "ok"})
    lost = say("/nothing/" + "x" * 500)
    assert lost.status_code == 404
    assert "HTTPS_PROXY" in lost.json()["error"]["message"]
    assert len(json.dumps(lost.json())) < 500
