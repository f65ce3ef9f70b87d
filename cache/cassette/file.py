"""One cassette file: all repeats of one recorded request, or some vectors of one model, as YAML text.

Whatever is written is read back first and must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cache.cassette.replies import read_replies, refuse_credentials, replies_document
from cache.cassette.vectors import read_vectors, vectors_document
from cache.cassette.yaml_text import BrokenCassette, dump, load
from cache.entry import Reply, Vector
from cache.store import StoreError

FORMAT = 1
"""Raised when files are written that today's reader would misunderstand."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What one file holds: replies of one (tenant, key, form) by ordinal, or vectors by key.

    Hits and last use are never in it.
    """

    replies: tuple[Reply, ...] = ()
    vectors: tuple[Vector, ...] = ()


def dump_replies(replies: Sequence[Reply]) -> bytes:
    """The file for all repeats of one (tenant, key, form), at least one.

    Raises StoreError if a header looks like a credential or a reply cannot be written exactly.
    """
    kept = sorted((replace(reply, hits=0, last_used=0.0) for reply in replies), key=lambda reply: reply.ordinal)
    for reply in kept:
        refuse_credentials(reply)
    what = f"the reply {kept[0].key[:12]} of {kept[0].provider}"
    return _proven(lambda structured: replies_document(kept, structured), Contents(replies=tuple(kept)), what)


def dump_vectors(vectors: Sequence[Vector]) -> bytes:
    """The file for vectors of one tenant, at least one. Raises StoreError."""
    kept = sorted((replace(vector, hits=0, last_used=0.0) for vector in vectors), key=lambda vector: vector.key)
    what = f"a vector of {kept[0].provider} {kept[0].model}"
    return _proven(lambda structured: vectors_document(kept), Contents(vectors=tuple(kept)), what)


def _proven(document: Callable[[bool], dict[str, Any]], contents: Contents, what: str) -> bytes:
    """The most readable text that reads back as `contents`; `document` is asked for one with or without structure."""
    reason = "it does not read back the same"
    for structured, blocks in ((True, True), (True, False), (False, False)):
        try:
            data = dump({"wiretape": FORMAT, **document(structured)}, blocks=blocks).encode("utf-8")
            if load_cassette(data) == contents:
                return data
        except (ValueError, ArithmeticError) as error:
            reason = str(error)
    raise StoreError(f"{what} cannot be written to a cassette exactly: {reason}")


def load_cassette(data: bytes) -> Contents:
    """What `dump_replies` or `dump_vectors` wrote. Raises BrokenCassette naming the line."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BrokenCassette(data.count(b"\n", 0, error.start) + 1, "not UTF-8") from None
    document = load(text)
    if "wiretape" not in document:
        raise BrokenCassette(1, f"not a cassette: it does not say 'wiretape: {FORMAT}'")
    version = document.of(int, "wiretape")
    if version != FORMAT:
        raise document.broken("wiretape", f"written in format {version}, and this wiretape reads format {FORMAT}")
    try:
        if "vectors" in document:
            return Contents(vectors=read_vectors(document))
        return Contents(replies=read_replies(document))
    except UnicodeEncodeError:
        raise BrokenCassette(1, "a string holds half a surrogate pair") from None
