"""What a way of asking is, and what all of them share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

KEY = "canary-credential-of-the-sdk"
"""The API key every SDK is given; it must never be found at rest."""

Asking = Callable[[str], Any]


OF_ONE_EXCHANGE = ("id", "total_duration", "load_duration")
"""What an embedding reply says of its own HTTP exchange; vectors are kept one by one, without it."""

WEATHER_TOOL: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to ask: `ask(text)` gives the parsed answer as plain values.

    `error` is what the SDK raises for a status it does not like, `status` the attribute that holds it.
    """

    name: str
    ask: Asking
    error: type[Exception]
    status: str = "status_code"


def plain(value: Any, without: Collection[str] = ()) -> Any:
    """SDK objects as plain values, without what belongs to the transport."""
    if isinstance(value, BaseModel):
        left_out = {"sdk_http_response", *without}
        return {name: part for name, part in value.model_dump(mode="json").items() if name not in left_out}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


async def drain(stream: Any) -> list[Any]:
    """All of an asynchronous stream."""
    return [plain(item) async for item in stream]


def run(work: Callable[[str], Coroutine[Any, Any, Any]]) -> Asking:
    """A way of asking from a coroutine."""
    return lambda text: asyncio.run(work(text))


def user(text: str) -> Any:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def ways(error: type[Exception], status: str, **asks: Asking) -> list[Way]:
    """Several ways of one SDK."""
    return [Way(name.replace("_", "-"), ask, error, status) for name, ask in asks.items()]
