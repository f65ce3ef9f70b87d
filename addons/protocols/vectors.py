"""Embedding vectors between a provider's JSON numbers and packed float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from addons.protocols.base import BadReply


def pack(values: Any) -> bytes:
    """One vector as little-endian float32; raises BadReply unless it is a list of finite numbers."""
    if not isinstance(values, list) or not values:
        raise BadReply("the provider's reply holds an embedding that is not a list of numbers")
    if not {type(value) for value in values} <= {int, float}:
        raise BadReply("the provider's reply holds an embedding with something in it that is not a number")
    try:
        with np.errstate(over="ignore"):
            vector = np.array(values, dtype=np.float64).astype("<f4")
    except OverflowError:
        raise BadReply("the provider's reply holds an embedding with a number out of range") from None
    if not np.isfinite(vector).all():
        raise BadReply("the provider's reply holds an embedding with NaN or infinite numbers")
    return vector.tobytes()


def pack_all(rows: Any, count: int) -> list[bytes]:
    """`count` vectors of one dimension; raises BadReply for any other number or unequal lengths."""
    if not isinstance(rows, list):
        raise BadReply("the provider's reply holds no list of embeddings")
    if len(rows) != count:
        raise BadReply(f"the provider's reply holds {len(rows)} embeddings where {count} were asked for")
    vectors = [pack(row) for row in rows]
    if len({len(vector) for vector in vectors}) > 1:
        raise BadReply("the provider's reply holds embeddings of unequal dimensions")
    return vectors


def unpack(vector: bytes) -> NDArray[np.float32]:
    """The numbers of a packed vector, as an array that `json_values.dump` writes in shortest decimals."""
    return np.frombuffer(vector, dtype="<f4")
