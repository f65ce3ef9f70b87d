"""Replies as the document of a cassette file: what was asked once, then the answers in their order.

The head says what was asked (`provider` … `form`, and the `request` as it was stored); `replies` lists
the repeats by ordinal. A repeat that differs from the head in something says so itself.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import orjson

from cache.cassette.body import KINDS, decode_body, encode_body, json_entry, read_base64
from cache.cassette.json_layout import COMPACT, render
from cache.cassette.moments import read_time, time_text
from cache.cassette.yaml_text import BrokenCassette, Mapping, is_representable
from cache.entry import Reply, Usage
from cache.store import StoreError

LOCAL_TENANT = "local"
_HEAD = ("provider", "protocol", "operation", "host", "model")
_USAGE = tuple(field.name for field in fields(Usage))
_REQUEST = ["method", "url", "headers", "body"]
_CREDENTIALS = frozenset(
    ("authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "set-cookie")
)


def refuse_credentials(reply: Reply) -> None:
    """Raise StoreError for a header of request or answer that carries credentials.

    The last line of defence: nothing of the kind should have been kept in the first place.
    """
    names = [name for name, _ in reply.headers]
    try:
        request = orjson.loads(reply.request)
    except ValueError:
        request = None
    headers = request.get("headers") if isinstance(request, dict) else None
    if isinstance(headers, list):
        names += [pair[0] for pair in headers if isinstance(pair, list) and pair and isinstance(pair[0], str)]
    elif isinstance(headers, dict):
        names += headers
    for name in names:
        if name.strip().lower() in _CREDENTIALS:
            where = f"the reply {reply.key[:12]} has the header {name}"
            raise StoreError(f"{where}, which looks like a credential: not written")


def replies_document(replies: Sequence[Reply], structured: bool) -> dict[str, Any]:
    """The document for the repeats of one request in the order of their ordinals; bodies as text if not structured."""
    first = replies[0]
    document: dict[str, Any] = {name: getattr(first, name) for name in _HEAD}
    document |= {} if first.tenant == LOCAL_TENANT else {"tenant": first.tenant}
    document |= {"key": first.key, "form": first.form, "request": _request_entry(first.request, structured)}
    entries = []
    for position, reply in enumerate(replies):
        entry = {name: getattr(reply, name) for name in _HEAD if getattr(reply, name) != getattr(first, name)}
        if reply.request != first.request:
            entry["request"] = _request_entry(reply.request, structured)
        if reply.ordinal != position:
            entry["ordinal"] = reply.ordinal
        entry |= {"status": reply.status, "created": time_text(reply.created), "upstream_ms": reply.upstream_ms}
        entry |= {"ending": reply.ending} | ({"version": reply.version} if reply.version else {})
        usage = {name: count for name, count in asdict(reply.usage).items() if count is not None}
        entry |= {"usage": usage} if usage else {}
        entry["headers"] = [{name: _header_value(value)} for name, value in reply.headers]
        entry["body"] = encode_body(reply.body, reply.chunks, structured=structured)
        entries.append(entry)
    return document | {"replies": entries}


def _request_entry(request: bytes, structured: bool) -> dict[str, Any]:
    """The stored request by its members where its JSON is compact, else like a body."""
    entry = encode_body(request, (), structured=False)
    if "text" not in entry or not structured:
        return entry
    found = json_entry(entry["text"])
    if found is None:
        return entry
    value = found["json"]
    usual = list(found) == ["json"] and isinstance(value, dict) and list(value) == _REQUEST
    if not usual or not _are_pairs(value["headers"]):
        return found
    return {**value, "headers": [{name: text} for name, text in value["headers"]]}


def _are_pairs(headers: Any) -> bool:
    return isinstance(headers, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in headers
    )


def read_replies(document: Mapping) -> tuple[Reply, ...]:
    """The repeats again, in the order of their ordinals. Raises BrokenCassette."""
    entries = document.mappings("replies")
    head = {name: document.of(str, name) for name in (*_HEAD, "key", "form")}
    head["tenant"] = document.of(str, "tenant", LOCAL_TENANT)
    request = _read_request(document.of(Mapping, "request"))
    replies: list[Reply] = []
    for position, entry in enumerate(entries):
        own = head | {name: entry.of(str, name) for name in _HEAD if name in entry}
        body, chunks = decode_body(entry.of(Mapping, "body"))
        usage = entry.of(Mapping, "usage", Mapping(entry.line))
        reply = Reply(
            **own,
            request=_read_request(entry.of(Mapping, "request")) if "request" in entry else request,
            status=entry.of(int, "status"),
            headers=tuple(_read_pairs(entry)),
            body=body,
            chunks=chunks,
            ordinal=entry.of(int, "ordinal", position),
            ending=entry.of(str, "ending"),
            usage=Usage(**{name: usage.of(int, name) for name in _USAGE if name in usage}),
            upstream_ms=entry.of(int, "upstream_ms", 0),
            version=entry.of(int, "version", 0),
            created=read_time(entry, "created"),
        )
        if replies and reply.ordinal <= replies[-1].ordinal:
            raise entry.broken("ordinal", f"the reply with ordinal {reply.ordinal} is out of order")
        replies.append(reply)
    return tuple(replies)


def _read_request(entry: Mapping) -> bytes:
    if any(kind in entry for kind in KINDS):
        return decode_body(entry)[0]
    if "body" not in entry:
        raise BrokenCassette(entry.line, "'body' is missing")
    pairs = [list(pair) for pair in _read_pairs(entry)]
    value = {"method": entry.of(str, "method"), "url": entry.of(str, "url"), "headers": pairs, "body": entry["body"]}
    return render(value, COMPACT).encode("utf-8")


def _header_value(value: str) -> str | dict[str, str]:
    """Bytes that are no UTF-8 reach us as lone surrogates, which YAML cannot hold."""
    if is_representable(value):
        return value
    return {"base64": base64.b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii")}


def _read_pairs(entry: Mapping) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for header in entry.of(list, "headers"):
        if not isinstance(header, Mapping):
            raise entry.broken("headers", "every header must be 'name: value'")
        for name, value in header.items():
            if isinstance(value, Mapping):
                pairs.append((name, read_base64(value, "base64").decode("utf-8", "surrogateescape")))
            else:
                pairs.append((name, header.of(str, name)))
    return pairs
