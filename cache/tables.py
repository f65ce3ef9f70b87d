"""The tables, once, for both databases and for the migrations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()


def _text() -> Any:
    """Text that Postgres compares by bytes, as SQLite does: key prefixes are looked up as ranges."""
    return Text().with_variant(Text(collation="C"), "postgresql")


replies = Table(
    "replies",
    metadata,
    Column("tenant", _text(), primary_key=True),
    Column("key", _text(), primary_key=True),
    Column("form", _text(), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("provider", _text(), nullable=False),
    Column("protocol", _text(), nullable=False),
    Column("host", _text(), nullable=False),
    Column("operation", _text(), nullable=False),
    Column("model", _text(), nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("chunks", LargeBinary, nullable=False),
    Column("ending", _text(), nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("upstream_ms", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("hits", BigInteger, nullable=False),
    Column("last_used", Double, nullable=False),
    Column("size", BigInteger, nullable=False),
    # Sizes ride along in the index of ages, so that a sum over all entries never touches a body.
    Index("replies_by_use", "last_used", "tenant"),
    Index("replies_by_age", "tenant", "created", "size"),
    Index("replies_by_place", "tenant", "host", "operation", "created"),
)

vectors = Table(
    "vectors",
    metadata,
    Column("tenant", _text(), primary_key=True),
    Column("key", _text(), primary_key=True),
    Column("provider", _text(), nullable=False),
    Column("host", _text(), nullable=False),
    Column("model", _text(), nullable=False),
    Column("dimensions", Integer, nullable=False),
    Column("values", LargeBinary, nullable=False),
    Column("text", _text(), nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("hits", BigInteger, nullable=False),
    Column("last_used", Double, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("vectors_by_use", "last_used", "tenant"),
    Index("vectors_by_age", "tenant", "created", "size"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("day", _text(), primary_key=True),
    Column("tenant", _text(), primary_key=True),
    Column("provider", _text(), primary_key=True),
    Column("model", _text(), primary_key=True),
    Column("outcome", _text(), primary_key=True),
    Column("note", _text(), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("saved_input_tokens", BigInteger, nullable=False),
    Column("saved_output_tokens", BigInteger, nullable=False),
    Column("saved_ms", BigInteger, nullable=False),
)
