"""Listening in on the HTTP libraries of this process: what the SDKs got, however they hide it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import aiohttp
import httpx
import httpx2
import requests

Heard = list[tuple[int, dict[str, str]]]
"""Status and headers (lower-case names) of each response, in order."""


@contextlib.contextmanager
def hearing() -> Iterator[Heard]:
    """Note down every response in the length of a `with` block; nothing is changed on its way."""
    heard: Heard = []

    def note(response: Any) -> Any:
        status = response.status if isinstance(response, aiohttp.ClientResponse) else response.status_code
        heard.append((status, {name.lower(): value for name, value in response.headers.items()}))
        return response

    with contextlib.ExitStack() as patches:
        for owner, name, wrap in PLACES:
            patches.enter_context(mock.patch.object(owner, name, wrap(getattr(owner, name), note)))
        yield heard


def _plain(original: Callable[..., Any], note: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(*given: Any, **named: Any) -> Any:
        return note(original(*given, **named))

    return send


def _awaited(original: Callable[..., Any], note: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(*given: Any, **named: Any) -> Any:
        return note(await original(*given, **named))

    return send


PLACES: list[tuple[type, str, Callable[..., Callable[..., Any]]]] = [
    (httpx.Client, "send", _plain),
    (httpx2.Client, "send", _plain),
    (requests.Session, "send", _plain),
    (httpx.AsyncClient, "send", _awaited),
    (httpx2.AsyncClient, "send", _awaited),
    (aiohttp.ClientSession, "_request", _awaited),
]
"""Where each library lets go of a response, and how to stand there."""
