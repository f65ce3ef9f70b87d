"""Bare requests of every protocol, as bytes on a connection: what the SDKs would hide stays visible."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from tests.wire.reach import Reachable

KEY = "canary-credential-of-bare-requests"
"""Stands wherever a provider wants a credential; it must never be found at rest."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a provider."""

    name: str
    host: str
    target: str
    body: Any

    def send(self, connection: http.client.HTTPSConnection, **headers: str) -> None:
        """Send it; `_` in header names stands for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        fixed = {"content-type": "application/json", "authorization": f"Bearer {KEY}", "x-api-key": KEY}
        connection.request("POST", self.target, json.dumps(self.body).encode(), fixed | given)

    def on(self, connection: http.client.HTTPSConnection, **headers: str) -> http.client.HTTPResponse:
        """Send it and wait for the head of the answer."""
        self.send(connection, **headers)
        return connection.getresponse()


@dataclass(frozen=True, slots=True)
class Got:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def outcome(self) -> str:
        """What the proxy says it did."""
        return self.headers.get("x-wiretape-outcome", "")


def got(response: http.client.HTTPResponse) -> Got:
    """Read an answer to its end."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Got(response.status, headers, response.read())


def ask(proxy: Reachable, asked: Ask, **headers: str) -> Got:
    """One request on a connection of its own."""
    with proxy.connection(asked.host) as connection:
        return got(asked.on(connection, **headers))


def chat(text: str, *, stream: bool = False, **more: Any) -> Ask:
    """An OpenAI chat completion."""
    body = {"model": "gpt-test", "messages": [{"role": "user", "content": text}], "stream": stream, **more}
    return Ask("openai-chat", "api.openai.com", "/v1/chat/completions", body)


def embed(*texts: str, **more: Any) -> Ask:
    """OpenAI embeddings."""
    body = {"model": "embed-test", "input": list(texts), **more}
    return Ask("openai-embed", "api.openai.com", "/v1/embeddings", body)


def streams(text: str) -> list[Ask]:
    """One streamed request of every protocol that streams."""
    messages = [{"role": "user", "content": text}]
    contents = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    converse = {"messages": [{"role": "user", "content": [{"text": text}]}]}
    claude = {"model": "claude-test", "max_tokens": 9, "messages": messages, "stream": True}
    gemini, bedrock = "generativelanguage.googleapis.com", "bedrock-runtime.us-east-1.amazonaws.com"
    generate = "/v1beta/models/gemini-test:streamGenerateContent"
    cohere = {"model": "command-test", "messages": messages, "stream": True}
    legacy = {"model": "gpt-legacy", "prompt": text, "stream": True}
    responses = {"model": "gpt-test", "input": text, "stream": True, "store": False}
    invoke = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages}
    return [
        chat(text, stream=True),
        Ask("openai-completions", "api.openai.com", "/v1/completions", legacy),
        Ask("openai-responses", "api.openai.com", "/v1/responses", responses),
        Ask("anthropic", "api.anthropic.com", "/v1/messages", claude),
        Ask("gemini-sse", gemini, f"{generate}?alt=sse", contents),
        Ask("gemini-array", gemini, generate, contents),
        Ask("cohere", "api.cohere.com", "/v2/chat", cohere),
        Ask("mistral", "api.mistral.ai", "/v1/chat/completions", {**cohere, "model": "mistral-test"}),
        Ask("bedrock-converse", bedrock, "/model/test.model-v1%3A0/converse-stream", converse),
        Ask("bedrock-invoke", bedrock, "/model/anthropic.test-v1%3A0/invoke-with-response-stream", invoke),
    ]
