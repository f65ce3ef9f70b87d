"""Google's SDK for Gemini."""

from __future__ import annotations

from typing import Any

from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types

from tests.wire.sdks.way import KEY, drain, plain, run, ways


def _gemini_generate(text: str) -> Any:
    with genai.Client(api_key=KEY) as client:
        return plain(client.models.generate_content(model="gemini-test", contents=text))


def _gemini_stream(text: str) -> Any:
    with genai.Client(api_key=KEY) as client:
        return plain(list(client.models.generate_content_stream(model="gemini-test", contents=text)))


async def _gemini_async(text: str) -> Any:
    async with genai.Client(api_key=KEY).aio as client:
        return plain(await client.models.generate_content(model="gemini-async", contents=text))


async def _gemini_stream_async(text: str) -> Any:
    async with genai.Client(api_key=KEY).aio as client:
        return await drain(await client.models.generate_content_stream(model="gemini-async", contents=text))


def _gemini_embed(text: str) -> Any:
    with genai.Client(api_key=KEY) as client:
        config = genai_types.EmbedContentConfig(output_dimensionality=8)
        return plain(client.models.embed_content(model="gemini-embed", contents=[text, "second"], config=config))


def _gemini_count(text: str) -> Any:
    with genai.Client(api_key=KEY) as client:
        return plain(client.models.count_tokens(model="gemini-test", contents=text))


GEMINI = ways(
    genai_errors.APIError,
    "code",
    gemini_generate=_gemini_generate,
    gemini_stream=_gemini_stream,
    gemini_async=run(_gemini_async),
    gemini_stream_async=run(_gemini_stream_async),
    gemini_embed=_gemini_embed,
    gemini_count=_gemini_count,
)
