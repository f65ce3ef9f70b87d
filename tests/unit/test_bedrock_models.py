"""Replies in the formats of the models behind Bedrock."""

from __future__ import annotations

from typing import Any

import pytest

from addons.protocols import bedrock_models
from addons.protocols.base import Tokens

CLAUDE = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
NOVA = {"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn"}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (CLAUDE, "stop"),
        ({**CLAUDE, "stop_reason": "max_tokens"}, "length"),
        ({**CLAUDE, "amazon-bedrock-guardrailAction": "INTERVENED"}, "refusal"),
        (NOVA, "stop"),
        ({**NOVA, "stopReason": "content_filtered"}, "refusal"),
        ({"generation": "Hi", "stop_reason": "stop"}, "stop"),
        ({"generation": "Hi", "stop_reason": "length"}, "length"),
        ({"generation": "", "stop_reason": "stop"}, "empty"),
        ({"results": [{"outputText": "Hi", "completionReason": "FINISH"}]}, "stop"),
        ({"results": [{"outputText": "Hi", "completionReason": "LENGTH"}]}, "length"),
        ({"results": [{"outputText": "", "completionReason": "CONTENT_FILTERED"}]}, "refusal"),
        ({"outputs": [{"text": "Hi", "stop_reason": "length"}]}, "length"),
        ({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}, "stop"),
        ({"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}]}, "length"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, "empty"),
        ({"generations": [{"text": "Hi", "finish_reason": "MAX_TOKENS"}]}, "length"),
        ({"text": "Hi", "finish_reason": "ERROR"}, "error"),
        ({"completions": [{"data": {"text": "Hi"}, "finishReason": {"reason": "length"}}]}, "length"),
        ({"embedding": [0.1], "inputTextTokenCount": 3}, "stop"),
        ({"embeddings": [[0.1]], "response_type": "embeddings_floats"}, "stop"),
        ({"images": ["aGk="], "error": None}, "stop"),
        ({"images": None, "error": "blocked"}, "error"),
        ({"message": "Too many requests"}, "error"),
        ({"type": "error", "error": {"type": "overloaded_error"}}, "error"),
        ({}, "error"),
        ([], "error"),
        (None, "error"),
    ],
)
def test_how_a_reply_ended(reply: Any, reason: str) -> None:
    assert bedrock_models.invoke_reason(reply) == reason


TITAN: list[Any] = [{"outputText": "Hi", "completionReason": None}, {"outputText": "", "completionReason": "FINISH"}]
CHAT: list[Any] = [{"choices": [{"delta": {"content": "Hi"}}]}, {"choices": [{"delta": {}, "finish_reason": "length"}]}]
METRICS = {bedrock_models.METRICS: {"inputTokenCount": 5, "outputTokenCount": 6, "cacheReadInputTokenCount": 2}}


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        (TITAN, "stop"),
        (TITAN[:1], "cut"),
        (CHAT, "length"),
        (CHAT[:1], "cut"),
        ([{"some": "model"}, METRICS], "empty"),
        ([{"generation": "Hi"}, METRICS], "stop"),
        ([{"generation": "Hi", "amazon-bedrock-guardrailAction": "INTERVENED"}, METRICS], "refusal"),
        ([{"error": "broke"}], "error"),
        ([1], "error"),
        ([], "cut"),
    ],
)
def test_how_a_stream_ended(pieces: list[Any], reason: str) -> None:
    assert bedrock_models.invoke_stream_reason(pieces) == reason


@pytest.mark.parametrize(
    ("pieces", "tokens"),
    [
        ([{"usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5}}], Tokens(7, 5, 4)),
        ([{"usage": {"prompt_tokens": 3, "completion_tokens": 5}}], Tokens(3, 5)),
        ([{"inputTextTokenCount": 3, "results": [{"tokenCount": 5}]}], Tokens(3, 5)),
        ([{"prompt_token_count": 3, "generation_token_count": 5}], Tokens(3, 5)),
        ([{"usage": {"input_tokens": 1}}, METRICS], Tokens(7, 6, 2)),
        ([{"embeddings": []}, None], Tokens()),
    ],
)
def test_tokens(pieces: list[Any], tokens: Tokens) -> None:
    assert bedrock_models.invoke_tokens(pieces) == tokens


def test_content_is_what_is_said() -> None:
    assert bedrock_models.content({"inputText": "Hi", "normalize": True}) == {"inputText": "Hi"}
    one = {"messages": [{"role": "user", "content": "Hi"}], "system": "s", "temperature": 1}
    other = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "system": "s"}
    assert bedrock_models.content(one) == bedrock_models.content(other)
    assert bedrock_models.content({"unknown": 1}) == {"unknown": 1}
    assert bedrock_models.content([1]) == [1]
