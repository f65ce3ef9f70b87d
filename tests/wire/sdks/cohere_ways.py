"""Cohere's SDK."""

from __future__ import annotations

from typing import Any

import cohere
import cohere.core

from tests.wire.sdks.way import KEY, OF_ONE_EXCHANGE, plain, run, user, ways


def _cohere_chat(text: str) -> Any:
    with cohere.ClientV2(api_key=KEY) as client:
        return plain(client.chat(model="command-test", messages=user(text)))


def _cohere_stream(text: str) -> Any:
    with cohere.ClientV2(api_key=KEY) as client:
        return plain(list(client.chat_stream(model="command-test", messages=user(text))))


async def _cohere_async(text: str) -> Any:
    async with cohere.AsyncClientV2(api_key=KEY) as client:
        return plain(await client.chat(model="command-async", messages=user(text)))


def _cohere_embed(text: str) -> Any:
    how: Any = {"input_type": "search_document", "embedding_types": ["float"]}
    with cohere.ClientV2(api_key=KEY) as client:
        return plain(client.embed(model="embed-test", texts=[text, "second"], **how), OF_ONE_EXCHANGE)


def _cohere_rerank(text: str) -> Any:
    with cohere.ClientV2(api_key=KEY) as client:
        return plain(client.rerank(model="rerank-test", query=text, documents=["a", "b", "c"]))


COHERE = ways(
    cohere.core.ApiError,
    "status_code",
    cohere_chat=_cohere_chat,
    cohere_stream=_cohere_stream,
    cohere_async=run(_cohere_async),
    cohere_embed=_cohere_embed,
    cohere_rerank=_cohere_rerank,
)
