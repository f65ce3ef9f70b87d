"""The base-URL door: every provider by its name, one key with what came through the proxy."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import google.genai
import httpx2
import ollama
import openai
import pytest
from google.genai import types

from tests.wire.asking import KEY, Ask, ask, chat
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream


@pytest.fixture
def door(caching: Proxy) -> Iterator[httpx2.Client]:
    """A client that knows no proxy, only our address as its base URL."""
    with caching.client(proxy=None, base_url=caching.url) as client:
        yield client


def asked(salt: str) -> list[tuple[str, Ask]]:
    """Paths at the door, and what they are without it."""
    messages = [{"role": "user", "content": salt}]
    contents = {"contents": [{"role": "user", "parts": [{"text": salt}]}]}
    claude = {"model": "claude-test", "max_tokens": 9, "messages": messages}
    body = {"model": "m", "messages": messages}
    return [
        ("", chat(salt)),
        ("/openai", chat(f"named {salt}")),
        ("/anthropic", Ask("anthropic", "api.anthropic.com", "/v1/messages", claude)),
        ("/groq", Ask("groq", "api.groq.com", "/openai/v1/chat/completions", body)),
        ("/mistral", Ask("mistral", "api.mistral.ai", "/v1/chat/completions", body)),
        ("/openrouter", Ask("openrouter", "openrouter.ai", "/api/v1/chat/completions", body)),
        ("/cohere", Ask("cohere", "api.cohere.com", "/v2/chat", body)),
        (
            "/gemini",
            Ask("gemini", "generativelanguage.googleapis.com", "/v1beta/models/m:generateContent", contents),
        ),
    ]


def test_what_came_through_the_proxy_is_a_hit_at_the_door(
    caching: Proxy, door: httpx2.Client, upstream: Upstream, salt: str
) -> None:
    for prefix, one in asked(salt):
        before = len(upstream.seen(salt))
        first = ask(caching, one)
        second = door.post(prefix + one.target, json=one.body, headers={"authorization": f"Bearer {KEY}"})
        assert (first.outcome, second.headers["x-wiretape-outcome"]) == ("miss", "hit"), one.name
        assert second.content == first.body
        assert second.headers["x-wiretape-key"] == first.headers["x-wiretape-key"]
        assert len(upstream.seen(salt)) == before + 1


def test_what_came_through_the_door_is_a_hit_through_the_proxy(
    caching: Proxy, door: httpx2.Client, upstream: Upstream, salt: str
) -> None:
    for prefix, one in asked(salt):
        first = door.post(prefix + one.target, json=one.body, headers={"authorization": f"Bearer {KEY}"})
        second = ask(caching, one)
        assert (first.headers["x-wiretape-outcome"], second.outcome) == ("miss", "hit"), one.name
        seen = upstream.seen(salt)[-1]
        assert (seen.host, seen.target, seen.tls) == (one.host, one.target, True)
        assert seen.header("authorization") == f"Bearer {KEY}"


def test_query_parameters_survive(door: httpx2.Client, upstream: Upstream, salt: str) -> None:
    contents = {"contents": [{"role": "user", "parts": [{"text": salt}]}]}
    door.post(f"/gemini/v1beta/models/m:streamGenerateContent?alt=sse&key={KEY}", json=contents)
    (seen,) = upstream.seen(salt)
    assert seen.query == {"alt": "sse", "key": KEY}


def test_sdks_with_a_base_url(caching: Proxy, upstream: Upstream, salt: str) -> None:
    messages: Any = [{"role": "user", "content": salt}]
    for path in ("/v1", "/groq/openai/v1"):
        with openai.OpenAI(api_key=KEY, base_url=caching.url + path) as client:
            for _ in range(2):
                assert salt in str(client.chat.completions.create(model="m", messages=messages))
    with anthropic.Anthropic(api_key=KEY, base_url=f"{caching.url}/anthropic") as claude:
        for _ in range(2):
            assert salt in str(claude.messages.create(model="m", max_tokens=9, messages=messages))
    gemini = google.genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=f"{caching.url}/gemini"))
    for _ in range(2):
        assert salt in str(gemini.models.generate_content(model="gemini-test", contents=salt))
    with contextlib.closing(ollama.Client(host=f"{caching.url}/ollama")) as llama:
        for _ in range(2):
            assert salt in str(llama.chat(model="m", messages=messages))
    *others, local = upstream.seen(salt)
    hosts = ["api.openai.com", "api.groq.com", "api.anthropic.com", "generativelanguage.googleapis.com"]
    assert [one.host for one in others] == hosts
    assert local.path == "/api/chat"
    assert others[0].header("authorization") == f"Bearer {KEY}"


@pytest.mark.parametrize("path", ["/", "/nothing", "/anthropicx/v1/messages", "/v2x"])
def test_what_leads_nowhere_is_told(path: str, door: httpx2.Client, upstream: Upstream) -> None:
    before = upstream.connections
    answer = door.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert "base URL such as /v1 or /anthropic" in json.loads(answer.content)["error"]["message"]
    assert upstream.connections == before


def test_health(door: httpx2.Client) -> None:
    answer = door.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_forged_host_header_does_not_make_a_loop(caching: Proxy, door: httpx2.Client, salt: str) -> None:
    for host in (f"127.0.0.1:{caching.port}", f"localhost:{caching.port}"):
        answer = door.post("/v1/chat/completions", json=chat(f"{salt} {host}").body, headers={"host": host})
        assert (answer.status_code, answer.headers["x-wiretape-outcome"]) == (200, "miss")
