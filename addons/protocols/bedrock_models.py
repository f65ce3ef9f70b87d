"""What the models behind Amazon Bedrock say in formats of their own: how a reply ended and what it used.

Which format a body has is read off the body: a path may hold an inference profile that does not
tell the model. Reference: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from addons.protocols import anthropic_messages
from addons.protocols.base import Reason, Tokens
from addons.protocols.json_values import at, count, named, objects, total

METRICS = "amazon-bedrock-invocationMetrics"
"""Bedrock adds this member to the last chunk of a stream, whatever the model."""

_REASONS: Mapping[str, Reason] = {
    **dict.fromkeys(("max_tokens", "length", "model_length", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("guardrail_intervened", "content_filtered", "content_filter", "refusal"), "refusal"),
    "error_toxic": "refusal",
    **dict.fromkeys(("error", "error_limit"), "error"),
}
_REASON_NAMES = ("stop_reason", "stopReason", "finish_reason", "finishReason", "completionReason")
_LISTS = ("results", "outputs", "generations", "choices", "completions")
_TEXTS = ("generation", "completion", "text", "outputText")
_SAID = (
    *_TEXTS,
    *("content", "thinking", "partial_json", "tool_calls", "toolUse", "reasoningContent", "reasoning_content"),
)
_INPUT = (
    *("inputTokenCount", "inputTextTokenCount", "input_tokens", "inputTokens"),
    *("prompt_tokens", "prompt_token_count"),
)
_OUTPUT = (
    *("outputTokenCount", "tokenCount", "output_tokens", "outputTokens"),
    *("completion_tokens", "generation_token_count"),
)
_CACHED = ("cacheReadInputTokenCount", "cacheReadInputTokens", "cache_read_input_tokens")
_CACHE_WRITTEN = ("cacheWriteInputTokenCount", "cacheWriteInputTokens", "cache_creation_input_tokens")
_CONTENT = (
    *("system", "messages", "prompt", "message", "chat_history", "documents", "query"),
    *("inputText", "inputImage", "texts", "text", "images", "inputs", "singleEmbeddingParams"),
)


def reason_of(told: Any) -> Reason:
    """What a model's own word for how it ended means."""
    return named(_REASONS, told.lower() if isinstance(told, str) else None, "stop")


def converse_reason(reply: Any) -> Reason:
    """How a Converse reply that came in one piece ended."""
    content = at(reply, "output", "message", "content")
    if not isinstance(content, list):
        return "error"
    reason = reason_of(reply.get("stopReason"))
    says = any(block.get("text") or any(name != "text" for name in block) for block in objects(content))
    return "empty" if reason == "stop" and not says else reason


def converse_tokens(usage: Any) -> Tokens:
    """Input counts what was read from and written to the prompt cache too, as `totalTokens` does."""
    cached = count(at(usage, "cacheReadInputTokens"))
    return Tokens(
        input=total(count(at(usage, "inputTokens")), cached, count(at(usage, "cacheWriteInputTokens"))),
        output=count(at(usage, "outputTokens")),
        cached=cached,
    )


def content(body: Any) -> Any:
    """What a request to a model says, without its settings; the whole of one in a format not known."""
    if not isinstance(body, dict):
        return body
    said = {name: body[name] for name in _CONTENT if name in body}
    if not said:
        return body
    return {**said, **anthropic_messages.conversation(body)} if isinstance(body.get("messages"), list) else said


def invoke_reason(reply: Any) -> Reason:
    """How a model's reply that came in one piece ended."""
    if not isinstance(reply, dict) or not reply or reply.get("error") or set(reply) <= {"message", "Message", "__type"}:
        return "error"
    if reply.get("amazon-bedrock-guardrailAction") == "INTERVENED":
        return "refusal"
    if reply.get("type") in ("message", "error"):
        return anthropic_messages.message_reason(reply)
    if isinstance(at(reply, "output", "message"), dict):
        return converse_reason(reply)
    told = _told(reply)
    odd = [reason for reason in map(reason_of, told) if reason != "stop"]
    if odd:
        return odd[0]
    return "empty" if any(name in reply for name in (*_LISTS, *_TEXTS)) and not _says_something(reply) else "stop"


def invoke_stream_reason(pieces: Iterable[Any]) -> Reason:
    """How a model's stream ended.

    Claude ends with `message_stop`, Nova with its metadata after `messageStop`, the others with
    the chunk that has a reason or Bedrock's metrics.
    """
    told: list[Reason] = []
    says = ended = False
    first: dict[str, Any] | None = None
    for piece in pieces:
        if not isinstance(piece, dict) or piece.get("error") or piece.get("type") == "error":
            return "error"
        first = first or piece
        told += map(reason_of, _told(piece))
        if piece.get("amazon-bedrock-guardrailAction") == "INTERVENED":
            told.append("refusal")
        says = says or _says_something(piece)
        ended = ended or _ends(piece, first, bool(told))
    if not ended:
        return "cut"
    odd = [reason for reason in told if reason != "stop"]
    return odd[0] if odd else "stop" if says else "empty"


def _ends(piece: dict[str, Any], first: dict[str, Any], told: bool) -> bool:
    if first.get("type") == "message_start":
        return piece.get("type") == "message_stop"
    if "messageStart" in first:
        return told and ("metadata" in piece or METRICS in piece)
    return told or METRICS in piece


def _told(piece: dict[str, Any]) -> list[Any]:
    """The model's own words for how it ended, wherever its format puts them."""
    places: list[Any] = [piece, piece.get("delta"), piece.get("messageStop")]
    for name in _LISTS:
        places += objects(piece.get(name))
    found = [at(place, name) for place in places for name in _REASON_NAMES]
    return [at(word, "reason") or word for word in found if word]


def _says_something(piece: dict[str, Any]) -> bool:
    """Whether a reply or a piece of one holds anything the model said, in any of the formats."""
    parts: list[Any] = [piece, piece.get("delta"), piece.get("content_block")]
    parts += [at(piece, "contentBlockDelta", "delta"), at(piece, "contentBlockStart", "start")]
    for name in _LISTS:
        for item in objects(piece.get(name)):
            parts += [item, item.get("message"), item.get("delta"), item.get("data")]
    return any(at(part, name) for part in parts for name in _SAID) or at(piece, "content_block", "type") == "tool_use"


def invoke_tokens(pieces: Iterable[Any]) -> Tokens:
    """What a reply (one piece) or a stream reports, Bedrock's own metrics before the model's."""
    reported: list[Any] = []
    metrics: list[Any] = []
    for piece in pieces:
        reported += [at(piece, "message", "usage"), at(piece, "usage"), at(piece, "metadata", "usage")]
        reported += [piece, *objects(at(piece, "results"))]
        metrics.append(at(piece, METRICS))
    told = metrics if any(metrics) else reported
    cached = _last(told, _CACHED)
    return Tokens(
        input=total(_last(told, _INPUT), cached, _last(told, _CACHE_WRITTEN)),
        output=_last(told, _OUTPUT),
        cached=cached,
    )


def _last(reported: list[Any], names: Iterable[str]) -> int | None:
    """The last number given under any of these names."""
    numbers = [number for part in reported for name in names if (number := count(at(part, name))) is not None]
    return numbers[-1] if numbers else None
