"""OpenAI's API and those that speak it: chat, completions, Responses, embeddings, models."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

from tests.wire.answers.answer import Answer, json_answer, sse, sse_answer, text_for, tokens, vector, words
from tests.wire.requests import Request

CREATED = 1_767_225_600


def sample(schema: Any) -> Any:
    """A value that a JSON schema (the subset SDKs generate) accepts."""
    if "$ref" in schema or "anyOf" in schema:
        return None
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: sample(part) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [sample(schema["items"])]
    return {"integer": 7, "number": 1.5, "boolean": True}.get(str(kind), "sample")


def arguments(schema: Any) -> dict[str, Any]:
    """Arguments that a tool's schema accepts; none for a tool that has no schema."""
    given = sample(schema or {})
    return given if isinstance(given, dict) else {}


def _message(request: Request) -> dict[str, Any]:
    body = request.json
    messages = body.get("messages") or [{}]
    if body.get("tools") and messages[-1].get("role") == "user":
        function = body["tools"][0].get("function", {})
        given = json.dumps({**arguments(function.get("parameters")), "serial": request.serial})
        asked = {"name": function.get("name", ""), "arguments": given}
        call = {"id": f"call_{request.serial:06}", "type": "function", "function": asked}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        value = sample(wanted["json_schema"]["schema"])
        numbered = {name: request.serial if isinstance(part, int) else part for name, part in value.items()}
        return {"role": "assistant", "content": json.dumps(numbered)}
    return {"role": "assistant", "content": text_for(request, messages[-1].get("content"))}


def _usage(request: Request, answer: Any) -> dict[str, int]:
    asked, given = tokens(request.json.get("messages") or request.json.get("prompt")), tokens(answer)
    return {"prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given}


def chat(request: Request) -> Answer:
    """Chat completions, plain or streamed."""
    message = _message(request)
    common = {"id": f"chatcmpl-{request.serial:06}", "created": CREATED, "model": request.json.get("model", "")}
    if request.json.get("stream"):
        return sse_answer(request, _chat_events(request, common, message))
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
    whole = {**common, "object": "chat.completion", "choices": [choice], "usage": _usage(request, message)}
    return json_answer(request, whole)


def _chat_events(request: Request, common: dict[str, Any], message: dict[str, Any]) -> Iterator[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse({**common, "object": "chat.completion.chunk", "choices": [choice]})

    yield chunk({"role": "assistant", "content": None if "tool_calls" in message else ""})
    for call in message.get("tool_calls", ()):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield chunk({"tool_calls": [{"index": 0, "id": call["id"], "type": "function", "function": function}]})
        for part in words(call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    for part in words(message["content"] or ""):
        yield chunk({"content": part})
    yield chunk({}, "tool_calls" if "tool_calls" in message else "stop")
    if (request.json.get("stream_options") or {}).get("include_usage"):
        usage = _usage(request, message)
        yield sse({**common, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def completions(request: Request) -> Answer:
    """Legacy completions, plain or streamed."""
    text = text_for(request, request.json.get("prompt"))
    common = {"id": f"cmpl-{request.serial:06}", "object": "text_completion", "created": CREATED}
    common |= {"model": request.json.get("model", "")}

    def choice(part: str, finish: str | None) -> dict[str, Any]:
        return {"index": 0, "text": part, "logprobs": None, "finish_reason": finish}

    if request.json.get("stream"):
        events = [sse({**common, "choices": [choice(part, None)]}) for part in words(text)]
        return sse_answer(request, [*events, sse({**common, "choices": [choice("", "stop")]}), b"data: [DONE]\n\n"])
    return json_answer(request, {**common, "choices": [choice(text, "stop")], "usage": _usage(request, text)})


def responses(request: Request) -> Answer:
    """Responses, plain or streamed."""
    body = request.json
    asked = body.get("input")
    wanted = (body.get("text") or {}).get("format") or {}
    text = text_for(request, asked[-1] if isinstance(asked, list) else asked)
    if wanted.get("type") == "json_schema":
        text = json.dumps({**sample(wanted["schema"])})
    part = {"type": "output_text", "text": text, "annotations": []}
    item: dict[str, Any] = {"id": f"msg_{request.serial:06}", "type": "message", "role": "assistant"}
    item |= {"status": "completed", "content": [part]}
    usage = {"input_tokens": tokens(asked), "output_tokens": tokens(text)}
    usage |= {"total_tokens": usage["input_tokens"] + usage["output_tokens"]}
    whole = {
        "id": f"resp_{request.serial:06}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "model": body.get("model", ""),
        "output": [item],
        "parallel_tool_calls": True,
        "store": body.get("store", True),
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "top_p": 1.0,
        "usage": {**usage, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}
        | {"output_tokens_details": {"reasoning_tokens": 0}},
    }
    return sse_answer(request, _response_events(whole, item)) if body.get("stream") else json_answer(request, whole)


def _response_events(whole: dict[str, Any], item: dict[str, Any]) -> Iterator[bytes]:
    number = iter(range(10_000))

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, "sequence_number": next(number), **fields}, kind)

    text = item["content"][0]["text"]
    empty: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
    place: dict[str, Any] = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    started = {**item, "status": "in_progress", "content": []}
    yield event("response.output_item.added", output_index=0, item=started)
    yield event("response.content_part.added", **place, part=empty)
    for part in words(text):
        yield event("response.output_text.delta", **place, delta=part, logprobs=[])
    yield event("response.output_text.done", **place, text=text, logprobs=[])
    yield event("response.content_part.done", **place, part=item["content"][0])
    yield event("response.output_item.done", output_index=0, item=item)
    yield event("response.completed", response=whole)


def embeddings(request: Request) -> Answer:
    """Embeddings as floats or base64; single strings and token lists count as one input."""
    body = request.json
    asked = body.get("input")
    items = [asked] if isinstance(asked, str) or (asked and isinstance(asked[0], int)) else asked or []
    size = body.get("dimensions") or body.get("output_dimension") or 16

    def written(item: Any) -> Any:
        values = vector(item, size)
        if body.get("encoding_format") == "base64":
            return base64.b64encode(struct.pack(f"<{size}f", *values)).decode()
        return values

    data = [{"object": "embedding", "index": i, "embedding": written(item)} for i, item in enumerate(items)]
    used = sum(map(tokens, items))
    whole = {"object": "list", "data": data, "model": body.get("model", "")}
    if request.host == "api.mistral.ai":
        whole["id"] = f"embed-{request.serial:06}"
    return json_answer(request, {**whole, "usage": {"prompt_tokens": used, "total_tokens": used}})


def models(request: Request) -> Answer:
    """The list of models; its one model's name holds the serial."""
    model = {"id": f"model-{request.serial}", "object": "model", "created": CREATED, "owned_by": "test"}
    return json_answer(request, {"object": "list", "data": [model]})
