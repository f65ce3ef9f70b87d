"""Vectors as the document of a cassette file: usually of one model, one differing from the head says so."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from cache.cassette.body import read_base64
from cache.cassette.moments import read_time, time_text
from cache.cassette.replies import LOCAL_TENANT
from cache.cassette.yaml_text import Mapping
from cache.entry import Vector

_HEAD = ("provider", "host", "model")


def vectors_document(vectors: Sequence[Vector]) -> dict[str, Any]:
    """The document for vectors of one tenant in the order of their keys."""
    first = vectors[0]
    document: dict[str, Any] = {name: getattr(first, name) for name in _HEAD}
    document |= {} if first.tenant == LOCAL_TENANT else {"tenant": first.tenant}
    entries = []
    for vector in vectors:
        entry: dict[str, Any] = {"key": vector.key}
        entry |= {name: getattr(vector, name) for name in _HEAD if getattr(vector, name) != getattr(first, name)}
        entry |= {"text": vector.text, "tokens": vector.tokens, "dimensions": vector.dimensions}
        entry |= {"created": time_text(vector.created)} | ({"version": vector.version} if vector.version else {})
        entries.append(entry | {"values": base64.b64encode(vector.values).decode("ascii")})
    return document | {"vectors": entries}


def read_vectors(document: Mapping) -> tuple[Vector, ...]:
    """The vectors again. Raises BrokenCassette."""
    head = {name: document.of(str, name) for name in _HEAD}
    head["tenant"] = document.of(str, "tenant", LOCAL_TENANT)
    vectors: dict[str, Vector] = {}
    for entry in document.mappings("vectors"):
        own = head | {name: entry.of(str, name) for name in _HEAD if name in entry}
        vector = Vector(
            **own,
            key=entry.of(str, "key"),
            text=entry.of(str, "text", ""),
            tokens=entry.of(int, "tokens", 0),
            dimensions=entry.of(int, "dimensions"),
            version=entry.of(int, "version", 0),
            created=read_time(entry, "created"),
            values=read_base64(entry, "values"),
        )
        if len(vector.values) != 4 * vector.dimensions:
            raise entry.broken("values", f"{len(vector.values)} bytes are not {vector.dimensions} float32 values")
        if vector.key in vectors:
            raise entry.broken("key", f"the key {vector.key[:12]} stands twice")
        vectors[vector.key] = vector
    return tuple(vectors.values())
