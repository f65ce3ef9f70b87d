"""Anthropic's SDK."""

from __future__ import annotations

from typing import Any

import anthropic

from tests.wire.sdks.way import KEY, WEATHER_TOOL, plain, run, user, ways


def _anthropic_messages(text: str) -> Any:
    with anthropic.Anthropic(api_key=KEY) as client:
        return plain(client.messages.create(model="claude-test", max_tokens=99, messages=user(text)))


def _anthropic_stream(text: str) -> Any:
    with anthropic.Anthropic(api_key=KEY) as client:
        return plain(list(client.messages.create(model="claude-test", max_tokens=99, messages=user(text), stream=True)))


async def _anthropic_async(text: str) -> Any:
    async with anthropic.AsyncAnthropic(api_key=KEY) as client:
        return plain(await client.messages.create(model="claude-async", max_tokens=99, messages=user(text)))


async def _anthropic_stream_async(text: str) -> Any:
    """With the SDK's own gathering of the final message."""
    async with anthropic.AsyncAnthropic(api_key=KEY) as client:
        stream = client.messages.stream(model="claude-async", max_tokens=99, messages=user(text))
        async with stream as events:
            return plain(await events.get_final_message())


def _anthropic_tools(text: str) -> Any:
    tools: Any = [{"name": "get_weather", "input_schema": WEATHER_TOOL["parameters"]}]
    with anthropic.Anthropic(api_key=KEY) as client:
        first = client.messages.create(model="claude-tools", max_tokens=99, messages=user(text), tools=tools)
        (call,) = first.content
        assert isinstance(call, anthropic.types.ToolUseBlock)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        given = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}
        messages: Any = [*user(text), given, {"role": "user", "content": [result]}]
        second = client.messages.create(model="claude-tools", max_tokens=99, messages=messages, tools=tools)
        return [plain(first), plain(second)]


def _anthropic_count(text: str) -> Any:
    with anthropic.Anthropic(api_key=KEY) as client:
        return plain(client.messages.count_tokens(model="claude-test", messages=user(text)))


ANTHROPIC = ways(
    anthropic.APIStatusError,
    "status_code",
    anthropic_messages=_anthropic_messages,
    anthropic_stream=_anthropic_stream,
    anthropic_async=run(_anthropic_async),
    anthropic_stream_async=run(_anthropic_stream_async),
    anthropic_tools=_anthropic_tools,
    anthropic_count=_anthropic_count,
)
