"""The first tables: replies, vectors and the books."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text() -> Any:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create them."""
    _replies()
    _vectors()
    op.create_table(
        "tallies",
        *(
            sa.Column(name, _text(), primary_key=True)
            for name in ("day", "tenant", "provider", "model", "outcome", "note")
        ),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("saved_input_tokens", sa.BigInteger, nullable=False),
        sa.Column("saved_output_tokens", sa.BigInteger, nullable=False),
        sa.Column("saved_ms", sa.BigInteger, nullable=False),
    )


def _replies() -> None:
    op.create_table(
        "replies",
        sa.Column("tenant", _text(), primary_key=True),
        sa.Column("key", _text(), primary_key=True),
        sa.Column("form", _text(), primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, _text(), nullable=False) for name in ("provider", "protocol", "host", "operation", "model")),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        *(sa.Column(name, sa.LargeBinary, nullable=False) for name in ("headers", "body", "chunks")),
        sa.Column("ending", _text(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("upstream_ms", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("last_used", sa.Double, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_index("replies_by_use", "replies", ["last_used", "tenant"])
    op.create_index("replies_by_age", "replies", ["tenant", "created", "size"])
    op.create_index("replies_by_place", "replies", ["tenant", "host", "operation", "created"])


def _vectors() -> None:
    op.create_table(
        "vectors",
        sa.Column("tenant", _text(), primary_key=True),
        sa.Column("key", _text(), primary_key=True),
        *(sa.Column(name, _text(), nullable=False) for name in ("provider", "host", "model")),
        sa.Column("dimensions", sa.Integer, nullable=False),
        sa.Column("values", sa.LargeBinary, nullable=False),
        sa.Column("text", _text(), nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("last_used", sa.Double, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_index("vectors_by_use", "vectors", ["last_used", "tenant"])
    op.create_index("vectors_by_age", "vectors", ["tenant", "created", "size"])


def downgrade() -> None:
    """Drop them with all they hold."""
    for table in ("tallies", "vectors", "replies"):
        op.drop_table(table)
