"""Anthropic's Messages API and its token counting, also as served by Vertex AI and other clouds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from addons.protocols import tool_ids
from addons.protocols.base import PLAIN, Call, Ending, Protocol, Reason, Tokens
from addons.protocols.json_values import at, count, dump, form_of, named, objects, parse, sse_values, total

CACHE_CONTROL = (
    "cache_control",
    "tools.*.cache_control",
    "system.*.cache_control",
    "messages.*.content.*.cache_control",
    "messages.*.content.*.content.*.cache_control",
    "messages.*.content.*.source.content.*.cache_control",
    "messages.*.content.*.content.*.source.content.*.cache_control",
)
"""Everywhere a prompt-cache hint may stand: on tools, system blocks, content blocks, the blocks
inside a tool result and the blocks a document is made of."""

SCHEMAS = ("tools.*.input_schema", "output_config.format.schema", "output_format.schema")

CALLS = ("messages.*.content.*.id",)
RESULTS = ("messages.*.content.*.tool_use_id", "messages.*.content.*.caller.tool_id")

_REASONS: Mapping[str, Reason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class AnthropicMessages(Protocol):
    """`POST /v1/messages`; on Vertex AI `…:rawPredict` and `…:streamRawPredict`.

    Reference: https://docs.claude.com/en/api/messages and …/streaming.
    """

    name: ClassVar[str] = "anthropic_messages"
    # `service_tier` is not noise: the reply names the tier it was billed by.
    noise: ClassVar[Mapping[str, str]] = {
        "stream": "chooses the form of the reply, not its content",
        "metadata": "names the end user for abuse detection; the model does not see it",
        "mcp_servers.*.authorization_token": "opens the door to a tool's server, and is another one tomorrow",
        **dict.fromkeys(CACHE_CONTROL, "says what to keep in the provider's prompt cache; the prompt is the same"),
    }
    schemas: ClassVar[tuple[str, ...]] = SCHEMAS
    key_headers: ClassVar[tuple[str, ...]] = ("anthropic-version", "anthropic-beta")

    def form(self, call: Call) -> str:
        return form_of(call.member("stream"), "sse")

    def operation(self, call: Call) -> str:
        return call.path.replace(":streamRawPredict", ":rawPredict")

    def model(self, call: Call) -> str:
        return super().model(call) or call.params.get("model", "").partition(":")[0]

    def refuses(self, call: Call) -> str | None:
        return refused(call.body)

    def settle(self, body: Any) -> Any:
        return tool_ids.settle(body, CALLS, RESULTS)

    def content(self, call: Call) -> Any:
        return conversation(self.settle(call.body))

    def ending(self, form: str, body: bytes) -> Ending:
        return Ending(stream_reason(sse_values(body)) if form == "sse" else _plain_reason(body))

    def tokens(self, form: str, body: bytes) -> Tokens:
        try:
            return stream_tokens(sse_values(body)) if form == "sse" else usage_tokens(at(parse(body), "usage"))
        except ValueError:
            return Tokens()

    def error(self, status: int, message: str, code: str) -> bytes:
        return error_body(message, code)


class AnthropicCountTokens(AnthropicMessages):
    """`POST /v1/messages/count_tokens`."""

    name: ClassVar[str] = "anthropic_count_tokens"

    def form(self, call: Call) -> str:
        return PLAIN

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            reply = parse(body)
        except ValueError:
            return Ending("cut")
        return Ending("error" if count(at(reply, "input_tokens")) is None else "stop")

    def tokens(self, form: str, body: bytes) -> Tokens:
        return Tokens()  # counting is free: the number in the reply was not used up


def error_body(message: str, code: str) -> bytes:
    """An error as Anthropic writes it."""
    return dump({"type": "error", "error": {"type": code, "message": message}})


def refused(body: Any) -> str | None:
    """What in a request leans on state the provider keeps, or on servers that act when asked."""
    if not isinstance(body, dict):
        return None
    container = body.get("container")
    if isinstance(container, str) or at(container, "id") is not None:
        return "container"
    if any(skill.get("type") != "anthropic" for skill in objects(at(container, "skills"))):
        return "container"  # a skill the customer uploaded and may change under the same name
    if body.get("mcp_servers"):
        return "mcp_servers"
    return "file_id" if _names_file(body.get("messages")) or _names_file(body.get("system")) else None


def _names_file(value: Any) -> bool:
    """Whether content leans on an uploaded file. Ids that server tools left in their results do not count."""
    if isinstance(value, list):
        return any(_names_file(item) for item in value)
    if not isinstance(value, dict):
        return False
    if value.get("type") in ("file", "container_upload") and "file_id" in value:
        return True
    return any(_names_file(value.get(name)) for name in ("content", "source"))


def conversation(body: Any) -> Any:
    """System prompt, roles and content blocks of a request, without cache hints."""
    if not isinstance(body, dict):
        return body
    messages = objects(body.get("messages"))
    turns = [{"role": turn.get("role"), "content": _blocks(turn.get("content"))} for turn in messages]
    return {"system": _blocks(body.get("system")), "messages": turns}


def _blocks(content: Any) -> Any:
    """Content blocks without cache hints; a bare string is the text block it stands for."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        return content
    return [_block(block) if isinstance(block, dict) else block for block in content]


def _block(block: dict[str, Any]) -> dict[str, Any]:
    bare = {name: value for name, value in block.items() if name != "cache_control"}
    if "content" in bare:
        bare["content"] = _blocks(bare["content"])
    return bare


def _plain_reason(body: bytes) -> Reason:
    try:
        return message_reason(parse(body))
    except ValueError:
        return "cut"


def message_reason(message: Any) -> Reason:
    """How a message that came in one piece ended."""
    if not isinstance(message, dict) or message.get("type") != "message" or message.get("error"):
        return "error"
    content = message.get("content")
    if not isinstance(content, list):
        return "error"
    if message.get("stop_reason") is None:
        return "cut"
    reason = named(_REASONS, message["stop_reason"], "stop")
    return "empty" if reason == "stop" and not any(map(_says_something, content)) else reason


def stream_reason(events: Iterator[Any]) -> Reason:
    """How a streamed message ended; only `message_stop` is an end."""
    reason: Reason = "stop"
    ended = says = False
    try:
        for event in events:
            kind = at(event, "type")
            if kind == "error":
                return "error"
            says = says or _says_something(at(event, "content_block")) or bool(at(event, "delta", "text"))
            if kind == "message_delta":
                reason = named(_REASONS, at(event, "delta", "stop_reason"), reason)
            ended = ended or kind == "message_stop"
    except ValueError:
        return "cut"
    if not ended:
        return "cut"
    return "empty" if reason == "stop" and not says else reason


def _says_something(block: Any) -> bool:
    return isinstance(block, dict) and (block.get("type") != "text" or bool(block.get("text")))


def stream_tokens(events: Iterator[Any]) -> Tokens:
    """The last word on each number: the start tells the input, later events the running totals."""
    usage: dict[str, Any] = {}
    for event in events:
        for reported in (at(event, "message", "usage"), at(event, "usage")):
            if isinstance(reported, dict):
                usage.update({name: value for name, value in reported.items() if value is not None})
    return usage_tokens(usage)


def usage_tokens(usage: Any) -> Tokens:
    """Input counts what was read from and written to the prompt cache too, as Anthropic's own total does."""
    cached = count(at(usage, "cache_read_input_tokens"))
    return Tokens(
        input=total(count(at(usage, "input_tokens")), cached, count(at(usage, "cache_creation_input_tokens"))),
        output=count(at(usage, "output_tokens")),
        cached=cached,
        reasoning=count(at(usage, "output_tokens_details", "thinking_tokens")),
    )
