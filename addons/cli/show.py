"""`show`: one stored reply with what was asked, what came, and when."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from addons.cli import output
from addons.cli.entries import NOT_FOUND, document, summary
from addons.cli.opening import opened_store
from addons.cli.output import console, plain
from cache import Query, Reply
from config import ConfigError, Settings

_HEAD = ("key", "form", "ordinal", "provider", "model", "status", "ending", "created", "upstream_ms", "hits")
_MOST_REPEATS = 1000
_SHOWN_BYTES = 1024


async def show(settings: Settings, key: str, *, as_json: bool, body: bool) -> int:
    """Show one reply with all its repeats, or the body of the first alone; 1 if there is none."""
    found = await _matching(settings, key)
    if not found:
        print(f"nothing is stored under {key}", file=sys.stderr)
        return NOT_FOUND
    if len({reply.key for reply in found}) > 1:
        keys = ", ".join(sorted({reply.key[:16] for reply in found}))
        raise ConfigError(f"{key} is the beginning of several keys: {keys}")
    found.sort(key=lambda each: (each.form, each.ordinal))
    if body:
        sys.stdout.buffer.write(found[0].body)
    elif as_json:
        output.as_json([_for_scripts(reply) for reply in found])
    else:
        for number, reply in enumerate(found):
            if number:
                print()
            _print(reply)
    return 0


async def _matching(settings: Settings, key: str) -> list[Reply]:
    if not key.isalnum():
        raise ConfigError(f"{key!r} is no key: give the beginning of one, as ls shows it")
    store = await opened_store(settings)
    try:
        return await store.find(Query(key_prefix=key.lower(), limit=_MOST_REPEATS))
    finally:
        await store.close()


def _for_scripts(reply: Reply) -> dict[str, Any]:
    return {
        **summary(reply),
        "request": document(reply),
        "headers": dict(reply.headers),
        "body": reply.body.decode("utf-8", "replace"),
    }


def _print(reply: Reply) -> None:
    out = console()
    head = summary(reply)
    for name in _HEAD:
        out.print(f"[bold]{name:<12}[/bold] ", end="")
        out.print(plain(str(head[name])), markup=False)
    request = document(reply)
    out.print("\n[bold]request[/bold]      ", end="")
    out.print(plain(f"{request.get('method')} {request.get('url')}"), markup=False)
    for name, value in request.get("headers") or ():
        out.print(plain(f"{name}: {value}"), markup=False)
    if request.get("body") is not None:
        out.print(plain(json.dumps(request["body"], indent=2, ensure_ascii=False)), markup=False)
    chunks = f", {len(reply.chunks):,} chunks" if reply.chunks else ""
    out.print(f"\n[bold]answer[/bold]       {reply.status}, {len(reply.body):,} bytes{chunks}")
    for name, value in reply.headers:
        out.print(plain(f"{name}: {value}"), markup=False)
    out.print(plain(_readable(reply.body)), markup=False)


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return _dumped(body)


def _dumped(body: bytes) -> str:
    """The beginning of a binary body: offset, bytes in hexadecimal, and what of them is ASCII."""
    lines = [
        f"{start:06x}  {body[start : start + 16].hex(' '):<47}  "
        + re.sub(r"[^ -~]", ".", body[start : start + 16].decode("latin-1"))
        for start in range(0, min(len(body), _SHOWN_BYTES), 16)
    ]
    if len(body) > _SHOWN_BYTES:
        lines.append(f"… {len(body) - _SHOWN_BYTES:,} bytes more; --body prints all of them")
    return "\n".join(lines)
