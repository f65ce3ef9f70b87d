"""Exchanges of unusual shape: files, images, empty and large answers, odd streams, the rarer endpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.samples.event_stream import event
from tests.traffic import Recorded

JSON, SSE, NDJSON = "application/json", "text/event-stream", "application/x-ndjson"
OPENAI, ANTHROPIC = "https://api.openai.com/v1", "https://api.anthropic.com/v1"
GEMINI = "https://generativelanguage.googleapis.com"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com"
OWN = {
    "pictures": {"hosts": ["img.example.com"], "routes": {"GET /{rest+}": "other"}},
    "litellm": {"hosts": "http://localhost:4000", "speaks": {"openai": "/v1"}},
}
"""The hosts that are no provider's, as a user adds them."""

PICTURE = bytes(range(256)) * 40


def exchange(
    what: str,
    target: str,
    asked: Any,
    answer: Any,
    *,
    kind: str | None = JSON,
    status: int = 200,
    sent: str | None = JSON,
    headers: dict[str, str] | None = None,
) -> Recorded:
    """One exchange; `target` is `METHOD URL`, bodies are bytes or JSON values."""
    method, url = target.split(" ", 1)
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    reply = answer if isinstance(answer, bytes) else json.dumps(answer, indent=1, ensure_ascii=False).encode()
    kept = (("content-type", kind),) if kind else ()
    given = {**({"content-type": sent} if sent and body else {}), **(headers or {})}
    return Recorded(what, what, 0, method, url, tuple(given.items()), body, status, kept, reply)


def multipart(boundary: str, content: bytes = b"%PDF-1.4\x00\xff\r\n") -> bytes:
    """A form with a purpose and a file."""
    lines = [
        f"--{boundary}\r\ncontent-disposition: form-data; name=purpose\r\n\r\nassistants\r\n".encode(),
        f"--{boundary}\r\ncontent-disposition: form-data; name=file; filename=a.pdf\r\n\r\n".encode(),
        content + b"\r\n",
        f"--{boundary}--\r\n".encode(),
    ]
    return b"".join(lines)


def form(what: str, url: str, answer: Any, boundary: str = "one", **more: Any) -> Recorded:
    """An upload."""
    kind = f"multipart/form-data; boundary={boundary}"
    return exchange(what, f"POST {url}", multipart(boundary), answer, sent=kind, **more)


def chat(text: str, **more: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def delta(text: str, finish: str | None = None) -> bytes:
    """One chunk of a chat stream, without the line ends behind it."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}, ensure_ascii=False).encode()


def lines(*values: Any) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def typed(*events: dict[str, Any], end: str = "\n") -> bytes:
    """Server-sent events with their type as name."""
    return "".join(f"event: {one['type']}{end}data: {json.dumps(one)}{end}{end}" for one in events).encode()


RESPONSE = {
    "id": "resp_1",
    "status": "completed",
    "output": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBORw0KGgo="},
        {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1", "code": "1", "outputs": None},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "é ✓ \u2028"}]},
    ],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}
TOOLS = [
    {"type": "web_search"},
    {"type": "image_generation", "partial_images": 1},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
]
CRLF = b"\r\n\r\n".join([delta("a"), delta("", "stop"), b"data: [DONE]"]) + b"\r\n\r\n"
COMMENTS = b": OPENROUTER PROCESSING\n\n" * 3 + delta("b", "stop") + b"\n\ndata: [DONE]\n\n"
DONE_EVENT = delta("c", "stop") + b"\n\nevent: done\ndata: [DONE]\n\n"
UNENDED = delta("d", "stop") + b"\n\ndata: [DONE]"
BARE_CR = delta("e", "stop") + b"\r\rdata: [DONE]\r\r"
BOM = b"\xef\xbb\xbf" + delta("f", "stop") + b"\n\ndata: [DONE]\n\n"
LARGE = b"".join(delta("x" * 1000) + b"\n\n" for _ in range(2500)) + delta("", "stop") + b"\n\ndata: [DONE]\n\n"
GENERATED = {"candidates": [{"content": {"parts": [{"text": "t"}], "role": "model"}, "finishReason": "STOP"}]}
CONVERSED = b"".join(
    (
        event("messageStart", {"role": "assistant"}),
        event("contentBlockDelta", {"delta": {"text": "hi"}, "contentBlockIndex": 0}),
        event("messageStop", {"stopReason": "guardrail_intervened"}),
        event("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2}}),
    )
)
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}],
    "stop_reason": "pause_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}

EXCHANGES = [
    form("upload", f"{OPENAI}/files", {"id": "file-1", "object": "file"}),
    exchange("file", f"GET {OPENAI}/files/file-1", b"", {"id": "file-1", "status": "processed"}),
    exchange("file list", f"GET {OPENAI}/files?limit=2&after=a%20b", b"", {"data": [1]}),
    exchange("file list, other page", f"GET {OPENAI}/files?limit=2&after=c", b"", {"data": [2]}),
    exchange("file content", f"GET {OPENAI}/files/file-1/content", b"", PICTURE, kind="application/octet-stream"),
    exchange("file deleted", f"DELETE {OPENAI}/files/file-1", b"", {"deleted": True}),
    exchange("deleted, nothing said", f"DELETE {OPENAI}/assistants/a", b"", b"", kind=None, status=204),
    exchange("models", f"GET {OPENAI}/models", b"", {"data": [{"id": "m"}]}),
    exchange("model", f"GET {OPENAI}/models/org%2Fmodel:tag", b"", {"id": "org/model:tag"}),
    exchange("head", f"HEAD {OPENAI}/models", b"", b""),
    exchange("batch", f"POST {OPENAI}/batches", {"input_file_id": "file-1"}, {"id": "batch_1"}),
    exchange("vector store", f"POST {OPENAI}/vector_stores", {"name": "n"}, {"id": "vs_1"}, status=201),
    exchange("cancelled", f"POST {OPENAI}/responses/resp_1/cancel", b"", {"id": "resp_1", "status": "cancelled"}),
    exchange("polled", f"GET {OPENAI}/responses/resp_1", b"", {"id": "resp_1", "status": "queued"}),
    exchange("polled", f"GET {OPENAI}/responses/resp_1", b"", {"id": "resp_1", "status": "in_progress"}),
    exchange("polled", f"GET {OPENAI}/responses/resp_1", b"", RESPONSE),
    exchange("conversation", f"POST {OPENAI}/conversations", {"metadata": {}}, {"id": "conv_1"}),
    exchange("image", f"POST {OPENAI}/images/generations", {"prompt": "p"}, {"data": [{"b64_json": "AAAA" * 9000}]}),
    exchange("speech", f"POST {OPENAI}/audio/speech", {"input": "i"}, PICTURE, kind="audio/mpeg"),
    form("transcript", f"{OPENAI}/audio/transcriptions", b"plain words\r\n", kind="text/plain; charset=utf-8"),
    exchange("empty", f"POST {OPENAI}/whatever", {"a": 1}, b""),
    exchange("no content type", f"POST {OPENAI}/whatever", {"a": 2}, b"?", kind=None),
    exchange("accepted", f"POST {OPENAI}/whatever", {"a": 3}, b"null", status=202),
    exchange("jsonl upload", f"POST {OPENAI}/whatever", b'{"a":1}\n{"a":2}\n', {"n": 2}, sent="application/jsonl"),
    exchange("no type sent", f"PUT {OPENAI}/uploads/1", PICTURE, {"id": "part_1"}, sent=None),
    exchange("tools", f"POST {OPENAI}/responses", {"model": "m", "input": "q", "tools": TOOLS}, RESPONSE),
    exchange(
        "background",
        f"POST {OPENAI}/responses",
        {"model": "m", "input": "q", "background": True},
        {"id": "resp_1", "status": "queued", "background": True, "output": []},
    ),
    exchange(
        "responses stream",
        f"POST {OPENAI}/responses",
        {"model": "m", "input": "q", "stream": True},
        typed({"type": "response.created"}, {"type": "response.completed", "response": RESPONSE}, end="\r\n"),
        kind=SSE,
    ),
    exchange("crlf", f"POST {OPENAI}/chat/completions", chat("crlf", stream=True), CRLF, kind=SSE),
    exchange(
        "comments", "POST https://openrouter.ai/api/v1/chat/completions", chat("c", stream=True), COMMENTS, kind=SSE
    ),
    exchange(
        "done event",
        "POST https://us.inference.heroku.com/v1/chat/completions",
        chat("d", stream=True),
        DONE_EVENT,
        kind=SSE,
    ),
    exchange("unended", f"POST {OPENAI}/chat/completions", chat("unended", stream=True), UNENDED, kind=SSE),
    exchange("bare cr", f"POST {OPENAI}/chat/completions", chat("cr", stream=True), BARE_CR, kind=SSE),
    exchange("bom", f"POST {OPENAI}/chat/completions", chat("bom", stream=True), BOM, kind=SSE),
    exchange("large stream", f"POST {OPENAI}/chat/completions", chat("large", stream=True), LARGE, kind=SSE),
    exchange(
        "large", f"POST {OPENAI}/chat/completions", chat("large"), {"choices": [{"message": {"content": "é" * 10**6}}]}
    ),
    exchange("legacy", f"POST {OPENAI}/completions", {"model": "m", "prompt": "p"}, {"choices": [{"text": "t"}]}),
    exchange(
        "tokens",
        f"POST {OPENAI}/embeddings",
        {"model": "m", "input": [[1, 2]], "encoding_format": "base64"},
        {"object": "list", "data": [{"index": 0, "object": "embedding", "embedding": "AACAPwAAAMA="}], "model": "m"},
    ),
    exchange(
        "beta",
        f"POST {ANTHROPIC}/messages?beta=true",
        {**chat("b"), "max_tokens": 9, "container": "c_1"},
        CLAUDE,
        headers={"anthropic-beta": "code-execution-2025-08-25,skills-2025-10-02", "anthropic-version": "2023-06-01"},
    ),
    form("anthropic upload", f"{ANTHROPIC}/files?beta=true", {"id": "file_1"}, headers={"anthropic-beta": "files-api"}),
    exchange(
        "batch results",
        f"GET {ANTHROPIC}/messages/batches/b/results",
        b"",
        lines({"a": 1}, {"a": 2}),
        kind="application/x-jsonl",
    ),
    exchange("counted", f"POST {ANTHROPIC}/messages/count_tokens", chat("n"), {"input_tokens": 3}),
    exchange("started", f"POST {GEMINI}/upload/v1beta/files", {"file": {"displayName": "n"}}, b"", kind="text/plain"),
    exchange(
        "sent",
        f"POST {GEMINI}/upload/v1beta/files?upload_id=u&upload_protocol=resumable",
        PICTURE,
        {"file": {}},
        sent=None,
    ),
    exchange(
        "cached",
        f"POST {GEMINI}/v1beta/cachedContents",
        {"model": "models/m", "ttl": "9s"},
        {"name": "cachedContents/1"},
    ),
    exchange(
        "cached content",
        f"POST {GEMINI}/v1beta/models/m:generateContent",
        {"contents": [], "cachedContent": "cachedContents/1"},
        GENERATED,
    ),
    exchange("array", f"POST {GEMINI}/v1beta/models/m:streamGenerateContent", {"contents": []}, [GENERATED]),
    exchange("operation", f"GET {GEMINI}/v1beta/models/veo/operations/1", b"", {"done": True}),
    exchange(
        "guarded",
        f"POST {BEDROCK}/model/eu.amazon.nova-lite-v1%3A0/converse-stream",
        {
            "messages": [{"role": "user", "content": [{"text": "t"}, {"cachePoint": {"type": "default"}}]}],
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        },
        CONVERSED,
        kind="application/vnd.amazon.eventstream",
    ),
    exchange(
        "titan",
        f"POST {BEDROCK}/model/amazon.titan-embed-text-v2%3A0/invoke",
        {"inputText": "t"},
        {"embedding": [0.25]},
    ),
    exchange(
        "cohere",
        f"POST {BEDROCK}/model/cohere.embed-v4%3A0/invoke",
        {"texts": ["t"]},
        {"embeddings": {"float": [[0.25]]}},
    ),
    exchange(
        "nova",
        f"POST {BEDROCK}/model/amazon.nova-2-multimodal-embeddings-v1%3A0/invoke",
        {"singleEmbeddingParams": {"text": {"value": "t"}}},
        {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5]}]},
    ),
    exchange("guardrail", f"POST {BEDROCK}/guardrail/g/version/1/apply", {"source": "INPUT"}, {"action": "NONE"}),
    exchange(
        "agent",
        "POST https://api.mistral.ai/v1/conversations",
        {"inputs": "q", "stream": True},
        typed({"type": "conversation.response.started"}, {"type": "conversation.response.done"}),
        kind=SSE,
    ),
    exchange(
        "ollama",
        "POST http://localhost:11434/api/chat",
        chat("o"),
        lines({"message": {"content": "a"}, "done": False}, {"message": {"content": ""}, "done": True}),
        kind=NDJSON,
    ),
    exchange("ollama shown", "POST http://localhost:11434/api/show", {"model": "m"}, {"details": {}}),
    exchange(
        "litellm",
        "POST http://localhost:4000/v1/chat/completions",
        chat("l"),
        {"choices": [{"message": {"content": "t"}}]},
    ),
    exchange("picture", "GET https://img.example.com/a/b.jpg?w=1&h=2", b"", PICTURE, kind="image/jpeg"),
    exchange("document", "GET https://img.example.com/a.pdf", b"", b"%PDF-1.4 \xff\xfe", kind="application/pdf"),
]


def with_another_boundary(one: Recorded) -> Recorded:
    """The upload as its client would send it another time."""
    headers = tuple((name, value.replace("boundary=one", "boundary=two")) for name, value in one.request_headers)
    return replace(one, request_headers=headers, request_body=multipart("two"))
