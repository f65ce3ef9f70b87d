"""What tests of embeddings ask and how they read the answers, for every provider that takes many inputs at once."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.wire.answers.answer import tokens, vector
from tests.wire.asking import Ask, Got, ask, got
from tests.wire.reach import PATIENCE, Reachable
from tests.wire.requests import Request

SIZE = 16
"""Dimensions of the scripted upstream's vectors."""

OLLAMA = "http://localhost:11434"

Vectors = list[list[float]]


def expected(*items: Any) -> Vectors:
    """The vectors the scripted upstream has for these inputs."""
    return [vector(item, SIZE) for item in items]


def used(*items: Any) -> int:
    """The tokens the scripted upstream counts for these inputs."""
    return sum(map(tokens, items))


def vectors(got: Got) -> Vectors:
    """The vectors of a reply in OpenAI's shape, floats or base64, which must be numbered as they stand."""
    assert got.status == 200, got.body
    data = json.loads(got.body)["data"]
    assert [row["index"] for row in data] == list(range(len(data)))
    return [_floats(row["embedding"]) for row in data]


def _floats(written: Any) -> list[float]:
    if isinstance(written, list):
        return written
    packed = base64.b64decode(written, validate=True)
    return [float(f"{value:.9g}") for value in struct.unpack(f"<{len(packed) // 4}f", packed)]


def singles(got: Got) -> list[list[float]]:
    """The same as 32-bit floats, so that floats and base64 can be compared."""
    return [list(struct.unpack(f"<{len(row)}f", struct.pack(f"<{len(row)}f", *row))) for row in vectors(got)]


def usage(got: Got) -> int:
    """The tokens a reply in OpenAI's shape reports."""
    reported = json.loads(got.body)["usage"]
    assert reported.get("prompt_tokens", reported["total_tokens"]) == reported["total_tokens"]
    return int(reported["total_tokens"])


def inputs(requests: Sequence[Request]) -> list[list[Any]]:
    """What these requests in OpenAI's shape asked for."""
    return [request.json["input"] for request in requests]


@dataclass(frozen=True, slots=True)
class Provider:
    """How one provider takes texts, and where its reply has their vectors and its tokens (None: it does not say)."""

    name: str
    request: Callable[..., Ask]
    read: Callable[[Any], Vectors]
    asked: Callable[[Any], list[str]]
    tokens: Callable[[Any], int] | None

    def ask(self, proxy: Reachable, *texts: str) -> Got:
        """Ask for the vectors of these texts; in the clear where the provider is reached so."""
        request = self.request(*texts)
        if request.host:
            return ask(proxy, request)
        with contextlib.closing(http.client.HTTPConnection(proxy.host, proxy.port, timeout=PATIENCE)) as plain:
            return got(request.on(plain))


def _cohere(*texts: str) -> Ask:
    body = {"model": "embed-test", "texts": list(texts), "input_type": "search_document", "embedding_types": ["float"]}
    return Ask("cohere", "api.cohere.com", "/v2/embed", body)


def _gemini(*texts: str) -> Ask:
    model = "models/embed-test"
    requests = [{"model": model, "content": {"parts": [{"text": text}]}} for text in texts]
    target = f"/v1beta/{model}:batchEmbedContents"
    return Ask("gemini", "generativelanguage.googleapis.com", target, {"requests": requests})


def _openai_like(name: str, host: str) -> Provider:
    def request(*texts: str) -> Ask:
        return Ask(name, host, "/v1/embeddings", {"model": "embed-test", "input": list(texts)})

    return Provider(
        name,
        request,
        lambda reply: [row["embedding"] for row in reply["data"]],
        lambda body: list(body["input"]),
        lambda reply: int(reply["usage"]["total_tokens"]),
    )


PROVIDERS = [
    _openai_like("openai", "api.openai.com"),
    _openai_like("mistral", "api.mistral.ai"),
    _openai_like("voyage", "api.voyageai.com"),
    Provider(
        "cohere",
        _cohere,
        lambda reply: reply["embeddings"]["float"],
        lambda body: list(body["texts"]),
        lambda reply: int(reply["meta"]["billed_units"]["input_tokens"]),
    ),
    Provider(
        "gemini",
        _gemini,
        lambda reply: [row["values"] for row in reply["embeddings"]],
        lambda body: [request["content"]["parts"][0]["text"] for request in body["requests"]],
        None,
    ),
    Provider(
        "ollama",
        lambda *texts: Ask("ollama", "", f"{OLLAMA}/api/embed", {"model": "embed-test", "input": list(texts)}),
        lambda reply: reply["embeddings"],
        lambda body: list(body["input"]),
        lambda reply: int(reply["prompt_eval_count"]),
    ),
]
