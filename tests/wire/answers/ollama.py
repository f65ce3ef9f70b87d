"""Ollama's API: chat, generate (plain or as JSON lines) and embed."""

from __future__ import annotations

import json
from typing import Any

from tests.wire.answers.answer import Answer, headers, json_answer, text_for, tokens, vector, words
from tests.wire.requests import Request

CREATED = "2026-01-01T00:00:00.000000Z"


def _answer(request: Request, text: str, wrap: Any, asked: Any) -> Answer:
    common = {"model": request.json.get("model", ""), "created_at": CREATED}
    counts = {"total_duration": request.serial, "load_duration": 1, "prompt_eval_count": tokens(asked)}
    counts |= {"prompt_eval_duration": 1, "eval_count": tokens(text), "eval_duration": 1}
    done = {"done": True, "done_reason": "stop", **counts}
    if request.json.get("stream") is False:
        return json_answer(request, {**common, **wrap(text), **done})
    lines = [{**common, **wrap(part), "done": False} for part in words(text)] + [{**common, **wrap(""), **done}]
    pieces = [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines]
    return Answer(200, headers(request, "application/x-ndjson"), pieces, streamed=True)


def chat(request: Request) -> Answer:
    """Chat: streamed unless told otherwise, as Ollama does."""
    asked = request.json.get("messages") or [{}]
    text = text_for(request, asked[-1].get("content"))
    return _answer(request, text, lambda part: {"message": {"role": "assistant", "content": part}}, asked)


def generate(request: Request) -> Answer:
    """Generate: streamed unless told otherwise."""
    asked = request.json.get("prompt")
    return _answer(request, text_for(request, asked), lambda part: {"response": part}, asked)


def embed(request: Request) -> Answer:
    """Embeddings of one string or many."""
    asked = request.json.get("input")
    items = [asked] if isinstance(asked, str) else asked or []
    whole = {"model": request.json.get("model", ""), "embeddings": [vector(item, 16) for item in items]}
    counts = {"total_duration": request.serial, "load_duration": 1, "prompt_eval_count": sum(map(tokens, items))}
    return json_answer(request, {**whole, **counts})


def tags(request: Request) -> Answer:
    """The models there are; the one's digest holds the serial."""
    return json_answer(request, {"models": [{"name": "tiny:latest", "digest": f"{request.serial:064x}"}]})
