"""`ls`, `rm` and `prune`: what is stored, and ways to forget it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from addons.cli import output
from addons.cli.opening import opened_store
from addons.cli.units import age, size
from addons.frames import FORM as FRAME
from cache import Limits, Query, Reply
from config import ConfigError, Settings

NOT_FOUND = 1
_SHORTEST_KEY = 6


def summary(reply: Reply) -> dict[str, Any]:
    """One reply for scripts, without its body."""
    return {
        "key": reply.key,
        "form": reply.form,
        "ordinal": reply.ordinal,
        "provider": reply.provider,
        "protocol": reply.protocol,
        "host": reply.host,
        "operation": reply.operation,
        "model": reply.model,
        "status": reply.status,
        "ending": reply.ending,
        "bytes": len(reply.body),
        "input_tokens": reply.usage.input_tokens,
        "output_tokens": reply.usage.output_tokens,
        "upstream_ms": reply.upstream_ms,
        "version": reply.version,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(reply.created)),
        "hits": reply.hits,
    }


async def ls(settings: Settings, given: argparse.Namespace) -> int:
    """List replies, newest first."""
    store = await opened_store(settings)
    try:
        found = await store.find(
            Query(
                provider=given.only_provider,
                model=given.only_model,
                host=given.only_host,
                text=given.only_text,
                limit=max(1, given.only_limit),
            )
        )
    finally:
        await store.close()
    if given.json:
        output.as_json([summary(reply) for reply in found])
        return 0
    if not found:
        print("nothing stored that matches", file=sys.stderr)
        return NOT_FOUND
    _table(found)
    return 0


def _table(found: list[Reply]) -> None:
    """Places among repeats and statuses are shown where there is something to see."""
    columns: dict[str, Callable[[Reply], object]] = {"key": lambda r: r.key[:12], "form": lambda r: r.form}
    if any(reply.ordinal for reply in found):
        columns["n"] = lambda r: r.ordinal
    columns |= {"provider": lambda r: r.provider, "model": lambda r: r.model or "-"}
    if any(reply.status != 200 for reply in found):
        columns["status"] = lambda r: r.status
    columns |= {
        "size": lambda r: size(len(r.body)),
        "hits": lambda r: r.hits,
        "age": lambda r: age(time.time() - r.created),
        "asked": _question,
    }
    rows = [[value(reply) for value in columns.values()] for reply in found]
    output.table(list(columns), rows, right=("n", "size", "hits", "age"), cut=("model", "asked"))


def _question(reply: Reply) -> str:
    """The last text of a request, shortened: what a person remembers it by."""
    if reply.form == FRAME:
        return "(around the vectors)"
    last = ""

    def walk(value: Any) -> None:
        nonlocal last
        if isinstance(value, dict):
            for name, member in value.items():
                if isinstance(member, str) and name in ("content", "text", "input", "prompt", "query"):
                    last = member
                else:
                    walk(member)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, str):
                    last = item
                walk(item)

    body = document(reply).get("body")
    if isinstance(body, dict):
        walk(
            {name: body[name] for name in ("messages", "input", "contents", "prompt", "texts", "query") if name in body}
        )
    return " ".join(last.split())[:60]


def document(reply: Reply) -> dict[str, Any]:
    """What was asked, as it is stored: method, url, headers and body."""
    try:
        content = json.loads(reply.request)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


async def rm(settings: Settings, keys: list[str], *, as_json: bool) -> int:
    """Forget what is stored under each beginning of a key."""
    for key in keys:
        if len(key) < _SHORTEST_KEY or not key.isalnum():
            raise ConfigError(f"{key!r} is too short or no key: give {_SHORTEST_KEY} characters of one at least")
    store = await opened_store(settings)
    try:
        gone = {key: await store.delete("local", key.lower()) for key in keys}
    finally:
        await store.close()
    if as_json:
        output.as_json(gone)
    else:
        for key, count in gone.items():
            print(f"{key}: {count} removed" if count else f"{key}: nothing stored")
    return 0 if all(gone.values()) else NOT_FOUND


async def prune(settings: Settings, *, as_json: bool) -> int:
    """Bring the store within the limits of the settings."""
    limits = Limits(settings.max_age, settings.max_entries, settings.max_bytes)
    if limits == Limits():
        raise ConfigError(
            "prune: no limit is set; give one, such as --max-age 30d, --max-entries 10000 or --max-bytes 1GiB"
        )
    store = await opened_store(settings)
    try:
        gone = await store.prune(limits)
    finally:
        await store.close()
    if as_json:
        output.as_json({"replies": gone.replies, "vectors": gone.vectors, "bytes": gone.bytes})
    else:
        print(f"removed {gone.replies:,} replies and {gone.vectors:,} vectors, {size(gone.bytes)}")
    return 0
