"""Cohere's v2 API: chat (plain, streamed), embed, rerank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.wire.answers.answer import Answer, json_answer, sse, sse_answer, text_for, tokens, vector, words
from tests.wire.requests import Request

SIZE = 16


def chat(request: Request) -> Answer:
    """Chat, plain or streamed."""
    body = request.json
    text = text_for(request, (body.get("messages") or [{}])[-1].get("content"))
    used = {"input_tokens": tokens(body.get("messages")), "output_tokens": tokens(text)}
    usage = {"billed_units": used, "tokens": used}
    name = f"cohere-{request.serial:06}"
    if body.get("stream"):
        return sse_answer(request, _events(name, text, usage))
    message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    return json_answer(request, {"id": name, "finish_reason": "COMPLETE", "message": message, "usage": usage})


def _events(name: str, text: str, usage: dict[str, Any]) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield event("message-start", id=name, delta={"message": empty})
    yield event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    for part in words(text):
        yield event("content-delta", index=0, delta={"message": {"content": {"text": part}}})
    yield event("content-end", index=0)
    yield event("message-end", delta={"finish_reason": "COMPLETE", "usage": usage})


def embed(request: Request) -> Answer:
    """Embeddings by type; only `float` is known here."""
    body = request.json
    texts = body.get("texts") or []
    vectors = [vector(text, body.get("output_dimension") or SIZE) for text in texts]
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": sum(map(tokens, texts))}}
    whole = {"id": f"embed-{request.serial:06}", "texts": texts, "embeddings": {"float": vectors}, "meta": meta}
    return json_answer(request, {**whole, "response_type": "embeddings_by_type"})


def rerank(request: Request) -> Answer:
    """Reranking: the documents backwards."""
    count = len(request.json.get("documents") or [])
    results = [{"index": index, "relevance_score": (index + 1) / (count + 1)} for index in reversed(range(count))]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return json_answer(request, {"id": f"rerank-{request.serial:06}", "results": results, "meta": meta})
