"""Gemini's API: generate, stream (events or one JSON array), embed, batchEmbed, countTokens."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.wire.answers.answer import Answer, headers, json_answer, sse, sse_answer, text_for, tokens, vector, words
from tests.wire.requests import Request

SIZE = 16


def _model(request: Request) -> str:
    found = re.search(r"models/([^/:]+)", request.path)
    return found.group(1) if found else ""


def _part(request: Request, text: str, *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    asked, given = tokens(request.json.get("contents")), tokens(text)
    usage = {"promptTokenCount": asked, "candidatesTokenCount": given, "totalTokenCount": asked + given}
    whole = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": _model(request)}
    return {**whole, "responseId": f"gemini-{request.serial:06}"}


def _text(request: Request) -> str:
    return text_for(request, (request.json.get("contents") or [""])[-1])


def generate(request: Request) -> Answer:
    """generateContent."""
    return json_answer(request, _part(request, _text(request), last=True))


def stream(request: Request) -> Answer:
    """streamGenerateContent: events with `alt=sse`, else one JSON array sent element by element."""
    texts = words(_text(request), 16)
    parts = [_part(request, text, last=number == len(texts) - 1) for number, text in enumerate(texts)]
    if request.query.get("alt") == "sse":
        return sse_answer(request, map(sse, parts))
    pieces = [(",\r\n" if number else "[") + json.dumps(part, indent=1) for number, part in enumerate(parts)]
    body = [piece.encode() for piece in pieces] + [b"\n]\n"]
    return Answer(200, headers(request, "application/json; charset=UTF-8"), body, streamed=True)


def _values(asked: dict[str, Any]) -> list[float]:
    return vector(asked.get("content"), asked.get("outputDimensionality") or SIZE)


def embed(request: Request) -> Answer:
    """embedContent."""
    return json_answer(request, {"embedding": {"values": _values(request.json)}})


def batch_embed(request: Request) -> Answer:
    """batchEmbedContents."""
    return json_answer(request, {"embeddings": [{"values": _values(one)} for one in request.json.get("requests", [])]})


def count_tokens(request: Request) -> Answer:
    """countTokens: the serial is in the number."""
    return json_answer(request, {"totalTokens": 1000 + request.serial})
