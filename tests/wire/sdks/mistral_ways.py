"""Mistral's SDK."""

from __future__ import annotations

from typing import Any

from mistralai.client import Mistral
from mistralai.client.errors import SDKError as MistralError

from tests.wire.sdks.way import KEY, OF_ONE_EXCHANGE, plain, run, user, ways


def _mistral_chat(text: str) -> Any:
    with Mistral(api_key=KEY) as client:
        return plain(client.chat.complete(model="mistral-test", messages=user(text)))


def _mistral_stream(text: str) -> Any:
    with Mistral(api_key=KEY) as client, client.chat.stream(model="mistral-test", messages=user(text)) as stream:
        return plain(list(stream))


async def _mistral_async(text: str) -> Any:
    async with Mistral(api_key=KEY) as client:
        return plain(await client.chat.complete_async(model="mistral-async", messages=user(text)))


def _mistral_embed(text: str) -> Any:
    with Mistral(api_key=KEY) as client:
        return plain(client.embeddings.create(model="mistral-embed", inputs=[text, "second"]), OF_ONE_EXCHANGE)


MISTRAL = ways(
    MistralError,
    "status_code",
    mistral_chat=_mistral_chat,
    mistral_stream=_mistral_stream,
    mistral_async=run(_mistral_async),
    mistral_embed=_mistral_embed,
)
