"""Ollama's SDK."""

from __future__ import annotations

import contextlib
from typing import Any

import ollama

from tests.wire.sdks.way import OF_ONE_EXCHANGE, plain, run, user, ways


def _ollama_chat(text: str) -> Any:
    with contextlib.closing(ollama.Client()) as client:
        return plain(client.chat(model="tiny", messages=user(text)))


def _ollama_stream(text: str) -> Any:
    with contextlib.closing(ollama.Client()) as client:
        return plain(list(client.chat(model="tiny", messages=user(text), stream=True)))


async def _ollama_async(text: str) -> Any:
    client = ollama.AsyncClient()
    try:
        return plain(await client.generate(model="tiny", prompt=text))
    finally:
        await client.close()  # type: ignore[no-untyped-call]


def _ollama_embed(text: str) -> Any:
    with contextlib.closing(ollama.Client()) as client:
        return plain(client.embed(model="tiny", input=[text, "second"]), OF_ONE_EXCHANGE)


OLLAMA = ways(
    ollama.ResponseError,
    "status_code",
    ollama_chat=_ollama_chat,
    ollama_stream=_ollama_stream,
    ollama_async=run(_ollama_async),
    ollama_embed=_ollama_embed,
)
