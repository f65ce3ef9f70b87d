"""Replies as recorded, for tests of cassettes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cache.entry import Reply


def a_reply(key: str = "0123456789abcdef" * 4, **changes: Any) -> Reply:
    """A plain answer to a chat completion."""
    reply = Reply(
        tenant="local",
        key=key,
        form="plain",
        provider="openai",
        protocol="openai_chat",
        host="api.example.com",
        operation="/v1/chat/completions",
        model="gpt-4.1",
        request=b'{"method":"POST","url":"https://api.example.com/","headers":[],"body":{"n":1}}',
        status=200,
        headers=(("content-type", "application/json"),),
        body=b'{"n":1}',
        created=1767225600.5,
    )
    return replace(reply, **changes)
