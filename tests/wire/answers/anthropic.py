"""Anthropic's API: messages (plain, streamed, with tools) and count_tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.wire.answers.answer import Answer, json_answer, sse, sse_answer, text_for, tokens, words
from tests.wire.answers.openai import arguments
from tests.wire.requests import Request


def messages(request: Request) -> Answer:
    """Messages, plain or streamed."""
    whole = message(request)
    return sse_answer(request, events(whole)) if request.json.get("stream") else json_answer(request, whole)


def message(request: Request) -> dict[str, Any]:
    """A whole message: a tool call where tools were given and the user spoke last, else text."""
    body = request.json
    last = (body.get("messages") or [{}])[-1].get("content")
    answered = isinstance(last, list) and any(part.get("type") == "tool_result" for part in last)
    if body.get("tools") and not answered:
        tool = body["tools"][0]
        given = {**arguments(tool.get("input_schema")), "serial": request.serial}
        block = {"type": "tool_use", "id": f"toolu_{request.serial:06}", "name": tool.get("name", ""), "input": given}
    else:
        block = {"type": "text", "text": text_for(request, last)}
    return {
        "id": f"msg_{request.serial:06}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", ""),
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": tokens(body.get("messages")), "output_tokens": tokens(block)},
    }


def events(whole: dict[str, Any]) -> Iterator[bytes]:
    """The events that stream a whole message."""

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    block = whole["content"][0]
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield event("message_start", message=begun)
    if block["type"] == "text":
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        deltas = [{"type": "text_delta", "text": part} for part in words(block["text"])]
    else:
        yield event("content_block_start", index=0, content_block={**block, "input": {}})
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in words(json.dumps(block["input"]))]
    yield event("ping")
    for delta in deltas:
        yield event("content_block_delta", index=0, delta=delta)
    yield event("content_block_stop", index=0)
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=ending, usage={"output_tokens": whole["usage"]["output_tokens"]})
    yield event("message_stop")


def count_tokens(request: Request) -> Answer:
    """The number of tokens: the serial is in it, or two answers would look alike."""
    return json_answer(request, {"input_tokens": 1000 + request.serial})
