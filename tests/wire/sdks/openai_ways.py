"""OpenAI's SDK."""

from __future__ import annotations

from typing import Any

import openai
from pydantic import BaseModel

from tests.wire.sdks.way import KEY, WEATHER_TOOL, Way, drain, plain, run, user, ways


class Weather(BaseModel):
    """What structured output is asked for."""

    city: str
    serial: int


def _openai_chat(text: str) -> Any:
    with openai.OpenAI(api_key=KEY) as client:
        return plain(client.chat.completions.create(model="gpt-test", messages=user(text)))


def _openai_chat_stream(text: str) -> Any:
    options: Any = {"include_usage": True}
    with openai.OpenAI(api_key=KEY) as client:
        chat = client.chat.completions
        return plain(list(chat.create(model="gpt-test", messages=user(text), stream=True, stream_options=options)))


async def _openai_chat_async(text: str) -> Any:
    async with openai.AsyncOpenAI(api_key=KEY) as client:
        return plain(await client.chat.completions.create(model="gpt-async", messages=user(text)))


async def _openai_chat_stream_async(text: str) -> Any:
    async with openai.AsyncOpenAI(api_key=KEY) as client:
        stream = await client.chat.completions.create(model="gpt-async", messages=user(text), stream=True)
        return await drain(stream)


def _openai_tools(text: str) -> Any:
    """A whole round: the model's call, and its answer to the tool's result."""
    tools: Any = [{"type": "function", "function": WEATHER_TOOL}]
    with openai.OpenAI(api_key=KEY) as client:
        first = client.chat.completions.create(model="gpt-tools", messages=user(text), tools=tools)
        (call,) = first.choices[0].message.tool_calls or []
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        messages: Any = [*user(text), first.choices[0].message.model_dump(exclude_none=True), result]
        second = client.chat.completions.create(model="gpt-tools", messages=messages, tools=tools)
        return [plain(first), plain(second)]


def _openai_tools_stream(text: str) -> Any:
    tools: Any = [{"type": "function", "function": WEATHER_TOOL}]
    with openai.OpenAI(api_key=KEY) as client:
        stream = client.chat.completions.create(model="gpt-tools", messages=user(text), tools=tools, stream=True)
        return plain(list(stream))


def _openai_parse(text: str) -> Any:
    with openai.OpenAI(api_key=KEY) as client:
        done = client.chat.completions.parse(model="gpt-parse", messages=user(text), response_format=Weather)
        return plain(done.choices[0].message.parsed)


def _openai_responses(text: str) -> Any:
    with openai.OpenAI(api_key=KEY) as client:
        return plain(client.responses.create(model="gpt-test", input=text, store=False))


def _openai_responses_stream(text: str) -> Any:
    with openai.OpenAI(api_key=KEY) as client:
        return plain(list(client.responses.create(model="gpt-test", input=text, stream=True, store=False)))


async def _openai_responses_async(text: str) -> Any:
    async with openai.AsyncOpenAI(api_key=KEY) as client:
        return plain(await client.responses.create(model="gpt-async", input=user(text), store=False))


def _openai_embed(text: str) -> Any:
    """The SDK asks for base64 by itself and decodes it."""
    with openai.OpenAI(api_key=KEY) as client:
        return plain(client.embeddings.create(model="embed-base64", input=[text, f"{text} again"]))


def _openai_embed_float(text: str) -> Any:
    with openai.OpenAI(api_key=KEY) as client:
        return plain(client.embeddings.create(model="embed-float", input=text, encoding_format="float"))


async def _openai_embed_async(text: str) -> Any:
    async with openai.AsyncOpenAI(api_key=KEY) as client:
        return plain(await client.embeddings.create(model="embed-async", input=text, dimensions=8))


def _openai_completion(text: str) -> Any:
    with openai.OpenAI(api_key=KEY) as client:
        return plain(client.completions.create(model="gpt-legacy", prompt=text))


def _openai_models(_: str) -> Any:
    with openai.OpenAI(api_key=KEY) as client:
        return plain(client.models.list().data)


OPENAI = ways(
    openai.APIStatusError,
    "status_code",
    openai_chat=_openai_chat,
    openai_chat_stream=_openai_chat_stream,
    openai_chat_async=run(_openai_chat_async),
    openai_chat_stream_async=run(_openai_chat_stream_async),
    openai_tools=_openai_tools,
    openai_tools_stream=_openai_tools_stream,
    openai_parse=_openai_parse,
    openai_responses=_openai_responses,
    openai_responses_stream=_openai_responses_stream,
    openai_responses_async=run(_openai_responses_async),
    openai_embed=_openai_embed,
    openai_embed_float=_openai_embed_float,
    openai_embed_async=run(_openai_embed_async),
    openai_completion=_openai_completion,
)

MODELS = Way("openai-models", _openai_models, openai.APIStatusError)
"""A read without a body, which no text makes different."""
