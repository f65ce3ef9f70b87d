"""Bedrock's runtime API: converse and invoke, plain or as AWS' binary event stream.

Frames as in https://smithy.io/2.0/aws/amazon-eventstream.html: lengths and checksums around
headers and a payload.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import Any

from tests.wire.answers import anthropic
from tests.wire.answers.answer import Answer, headers, json_answer, text_for, tokens, words
from tests.wire.requests import Request

STRING = 7
"""The type number of a string header."""


def frame(event: str, payload: Any) -> bytes:
    """One event stream message that holds a JSON event."""
    fields = {":event-type": event, ":content-type": "application/json", ":message-type": "event"}
    head = b"".join(
        bytes([len(name)]) + name.encode() + struct.pack(">BH", STRING, len(value)) + value.encode()
        for name, value in fields.items()
    )
    body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    prelude = struct.pack(">II", len(head) + len(body) + 16, len(head))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + head + body
    return message + struct.pack(">I", binascii.crc32(message))


def _frames(request: Request, pieces: list[bytes]) -> Answer:
    return Answer(200, headers(request, "application/vnd.amazon.eventstream"), pieces, streamed=True)


def _converse(request: Request) -> tuple[str, dict[str, int]]:
    asked = request.json.get("messages") or [{}]
    text = text_for(request, asked[-1].get("content"))
    counts = {"inputTokens": tokens(asked), "outputTokens": tokens(text)}
    return text, {**counts, "totalTokens": sum(counts.values())}


def converse(request: Request) -> Answer:
    """converse."""
    text, usage = _converse(request)
    message = {"role": "assistant", "content": [{"text": text}]}
    whole = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    return json_answer(request, {**whole, "metrics": {"latencyMs": request.serial}})


def converse_stream(request: Request) -> Answer:
    """converse-stream."""
    text, usage = _converse(request)
    deltas = [{"contentBlockIndex": 0, "delta": {"text": part}} for part in words(text)]
    return _frames(
        request,
        [
            frame("messageStart", {"role": "assistant"}),
            *(frame("contentBlockDelta", delta) for delta in deltas),
            frame("contentBlockStop", {"contentBlockIndex": 0}),
            frame("messageStop", {"stopReason": "end_turn"}),
            frame("metadata", {"usage": usage, "metrics": {"latencyMs": request.serial}}),
        ],
    )


def invoke(request: Request) -> Answer:
    """invoke, with an Anthropic model's body."""
    return json_answer(request, anthropic.message(request))


def invoke_stream(request: Request) -> Answer:
    """invoke-with-response-stream: an Anthropic model's events, each wrapped in a chunk."""
    events = anthropic.events(anthropic.message(request))
    data = [event.partition(b"data: ")[2].strip() for event in events]
    return _frames(request, [frame("chunk", {"bytes": base64.b64encode(one).decode()}) for one in data])
