"""OpenAI's Chat Completions, also as spoken by Azure, Groq, Mistral, OpenRouter, local servers and many more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from addons.protocols import tool_ids
from addons.protocols.base import Call, Reason
from addons.protocols.json_values import at, objects
from addons.protocols.openai import LABELS, PROMPT_CACHE, STREAMING, Openai, Parts, cache_hints
from addons.protocols.server_state import reference

_REASONS: Mapping[str, Reason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "sensitive": "refusal",
    "refusal": "refusal",
    "error": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
    "abort": "cut",
}
"""`finish_reason` values that are not a normal end; those beyond OpenAI's are from Mistral (model_length),
Z.ai (sensitive, network_error, model_context_window_exceeded), OpenRouter (error), DeepSeek
(insufficient_system_resource) and vLLM (abort)."""

_WORST_FIRST: tuple[Reason, ...] = ("error", "cut", "length", "refusal", "empty", "stop")

_MARKS = frozenset({"role", "type", "index", "id", "format", "refusal"})
"""Members of a message that are no content by themselves."""

_NOTES = frozenset({"cache_control", "prompt_cache_breakpoint", "annotations", "logprobs"})
"""Members of a content part that are about it."""


class Choice:
    """What the parts of one choice have told so far."""

    def __init__(self) -> None:
        self.finish = ""
        self.filled = False
        self.refused = False

    def add(self, choice: dict[str, Any]) -> None:
        """Take in a whole choice or one chunk of it."""
        finish = choice.get("finish_reason")
        if choice.get("error"):
            self.finish = "error"
        elif isinstance(finish, str) and finish and self.finish != "error":
            self.finish = finish
        message = choice.get("message") or choice.get("delta")
        self.filled = self.filled or bool(choice.get("text")) or has_content(message)
        self.refused = self.refused or bool(at(message, "refusal"))

    @property
    def reason(self) -> Reason:
        """How this choice ended."""
        if self.finish in _REASONS:
            return _REASONS[self.finish]
        # Google's endpoint writes the category behind it: `content_filter: PROHIBITED_CONTENT`.
        if self.refused or self.finish.startswith("content_filter"):
            return "refusal"
        return "stop" if self.filled else "empty"


def has_content(message: Any) -> bool:
    """Whether a message or delta carries anything: text, tool calls, reasoning, audio, images, …"""
    waiting = [message]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(member for name, member in value.items() if name not in _MARKS)
        elif isinstance(value, list):
            waiting.extend(value)
        elif value:
            return True
    return False


def choices_reason(parts: Parts) -> Reason:
    """How a reply made of choices ended, the worst choice deciding.

    A stream is whole at `[DONE]` and nowhere else: with several choices or a usage chunk to come,
    a finish reason alone proves nothing.
    """
    if parts.streamed and not parts.done:
        return "cut"
    choices: dict[Any, Choice] = {}
    for _, value in parts.values:
        for position, choice in enumerate(objects(value.get("choices"))):
            index = choice.get("index")
            choices.setdefault(index if isinstance(index, int) else position, Choice()).add(choice)
    reasons = {choice.reason for choice in choices.values()}
    return next((reason for reason in _WORST_FIRST if reason in reasons), "empty")


def folded(content: Any) -> Any:
    """Content without hints and notes; a lone text part is the same as its text."""
    if not isinstance(content, list):
        return content
    parts = [
        {name: value for name, value in part.items() if name not in _NOTES} if isinstance(part, dict) else part
        for part in content
    ]
    match parts:
        case [{"type": "text" | "input_text" | "output_text", "text": str(text)}] if len(parts[0]) == 2:
            return text
    return parts


class OpenaiChat(Openai):
    """`POST /v1/chat/completions`. Reference: https://platform.openai.com/docs/api-reference/chat."""

    name: ClassVar[str] = "openai_chat"
    noise: ClassVar[Mapping[str, str]] = {
        **STREAMING,
        **LABELS,
        **PROMPT_CACHE,
        **cache_hints("messages.*", "messages.*.content.*"),
        "store": "only asks the provider to keep a copy of the answer",
    }
    schemas: ClassVar[tuple[str, ...]] = (
        "tools.*.function.parameters",
        "tools.*.parameters",
        "functions.*.parameters",
        "response_format.json_schema.schema",
        "response_format.schema",
        "json_schema",
        "guided_json",
        "structured_outputs.json",
    )

    def refuses(self, call: Call) -> str | None:
        if call.member("store") is True:
            # Who asks for a stored completion wants it in the provider's dashboard; a hit would leave none there.
            return "store"
        # xAI answers a deferred request with a ticket; presets and Azure's data sources are settings kept
        # by the provider, which can change between two equal requests.
        for name in ("deferred", "preset", "data_sources"):
            if call.member(name):
                return name
        if "@preset/" in self.model(call):
            return "preset"
        messages = call.member("messages")
        if any(at(message, "audio", "id") for message in objects(messages)):
            return "audio id"
        return reference([messages, call.member("tools")])

    def settle(self, body: Any) -> Any:
        return tool_ids.settle(body, ("messages.*.tool_calls.*.id",), ("messages.*.tool_call_id",))

    def content(self, call: Call) -> Any:
        messages = at(self.settle(call.body), "messages")
        if not isinstance(messages, list):
            return call.body
        return [_said(message) if isinstance(message, dict) else message for message in messages]

    def reason(self, parts: Parts) -> Reason:
        return choices_reason(parts)


def _said(message: dict[str, Any]) -> dict[str, Any]:
    """Who said what in one message, what was called and what came back included."""
    said: dict[str, Any] = {"role": message.get("role"), "content": folded(message.get("content"))}
    for name in ("name", "refusal", "tool_call_id", "function_call"):
        if message.get(name):
            said[name] = message[name]
    calls = [
        {name: call.get(name) for name in ("id", "function", "custom") if name in call}
        for call in objects(message.get("tool_calls"))
    ]
    return {**said, "tool_calls": calls} if calls else said
