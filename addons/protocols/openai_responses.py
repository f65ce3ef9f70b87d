"""OpenAI's Responses, also as served by Azure, Bedrock, DeepSeek, OpenRouter and others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from addons.protocols import tool_ids
from addons.protocols.base import Call, Reason
from addons.protocols.json_values import at, objects
from addons.protocols.openai import LABELS, PROMPT_CACHE, STREAMING, Openai, Parts, cache_hints
from addons.protocols.openai_chat import folded, has_content
from addons.protocols.server_state import reference

_TERMINAL = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}

_NOT_SAID = frozenset({"id", "status", "phase", "namespace"})
"""Members of an input item that name or date it and say nothing."""


def _schema_paths() -> tuple[str, ...]:
    """Tools stand at the top or in an input item, and may be grouped in a namespace."""
    tools = [f"{top}tools.*" for top in ("", "input.*.")]
    groups = [*tools, *(f"{tool}.tools.*" for tool in tools)]
    members = ("parameters", "input_schema", "output_schema")
    return ("text.format.schema", *(f"{group}.{member}" for group in groups for member in members))


class OpenaiResponses(Openai):
    """`POST /v1/responses`. Reference: https://platform.openai.com/docs/api-reference/responses."""

    name: ClassVar[str] = "openai_responses"
    # `store` is not noise: the id of an answer that was not stored cannot be continued from later.
    # `include` is not either: it says what the reply contains.
    noise: ClassVar[Mapping[str, str]] = {
        **STREAMING,
        **LABELS,
        **PROMPT_CACHE,
        **cache_hints("input.*", "input.*.content.*", "input.*.output.*"),
        "tools.*.authorization": "a token for a tool's server: it opens the door, and is another one tomorrow",
    }
    schemas: ClassVar[tuple[str, ...]] = _schema_paths()

    def refuses(self, call: Call) -> str | None:
        for name in ("previous_response_id", "conversation", "background", "preset"):
            if call.member(name):
                return name
        prompt = call.member("prompt")
        if isinstance(prompt, dict) and not prompt.get("version"):
            return "prompt without version"
        items = call.member("input")
        if any(_is_reference(item) for item in objects(items)):
            return "item_reference"
        return reference([items, call.member("tools"), prompt])

    def settle(self, body: Any) -> Any:
        items = at(body, "input")
        if not isinstance(items, list):
            return body
        wrapped = {**body, "input": [{_side(item): item} for item in items]}
        settled = tool_ids.settle(wrapped, ("input.*.call.call_id",), ("input.*.result.call_id",))
        if settled is wrapped:
            return body
        return {**body, "input": [item for sided in settled["input"] for item in sided.values()]}

    def content(self, call: Call) -> Any:
        body = self.settle(call.body)
        if not isinstance(body, dict):
            return body
        # A conversation kept by the provider is content too, though only its name is known here.
        names = ("instructions", "prompt", "conversation", "previous_response_id")
        said = {name: body[name] for name in names if body.get(name)}
        items = body.get("input")
        if isinstance(items, list):
            said["input"] = [_said(item) for item in items if at(item, "type") != "reasoning"]
        elif items is not None:
            said["input"] = [{"role": "user", "content": items}]
        return said

    def reason(self, parts: Parts) -> Reason:
        if not parts.streamed:
            (_, response), *_ = parts.values
            return _reason(response, response.get("status"))
        filled = False
        for event, value in parts.values:
            kind = value.get("type")
            kind = kind if isinstance(kind, str) else event
            if kind in _TERMINAL:
                reason = _reason(value.get("response"), _TERMINAL[kind])
                # Some servers leave the output out of the last event, since it has been sent in pieces.
                return "stop" if reason == "empty" and filled else reason
            filled = filled or (kind.endswith(".delta") and bool(value.get("delta")))
        return "cut"


def _is_reference(item: dict[str, Any]) -> bool:
    """Whether an input item only names one that the provider keeps; the type may be left out then."""
    return item.get("type") == "item_reference" or ("id" in item and not item.keys() - {"id", "type"})


def _side(item: Any) -> str:
    """Which end of a tool call an input item is."""
    kind = at(item, "type")
    if not isinstance(kind, str):
        return "other"
    return "result" if kind.endswith("_output") else "call"


def _said(item: Any) -> Any:
    """One input item without what is not content."""
    if not isinstance(item, dict):
        return item
    if "role" in item and item.get("type") in (None, "message"):
        return {"role": item["role"], "content": folded(item.get("content"))}
    said = {name: value for name, value in item.items() if name not in _NOT_SAID}
    return {**said, "output": folded(said["output"])} if "output" in said else said


def _reason(response: Any, status: Any) -> Reason:
    """How a response object with this status ended."""
    if at(response, "error") or status == "failed":
        return "error"
    if status == "incomplete":
        return "refusal" if at(response, "incomplete_details", "reason") == "content_filter" else "length"
    if status in ("queued", "in_progress"):
        # The ticket for a background response is a whole answer; anything else is half of one.
        return "stop" if at(response, "background") is True else "cut"
    if status == "cancelled":
        return "cut"
    output = objects(at(response, "output"))
    if any(part.get("type") == "refusal" for item in output for part in objects(item.get("content"))):
        return "refusal"
    return "stop" if any(_is_filled(item) for item in output) else "empty"


def _is_filled(item: dict[str, Any]) -> bool:
    """Whether an output item carries anything: calls do by being there, messages by what they say."""
    return item.get("type", "message") != "message" or has_content(item.get("content"))
