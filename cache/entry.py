"""What the store holds: replies (one stored answer each) and vectors (one stored embedding each)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider reported them; None where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None

    @property
    def total(self) -> int:
        """Input and output together, counting an unknown side as nothing."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a streamed body: when it came and how long it is.

    `offset` is in microseconds since the request was sent upstream, `length` in bytes of the
    decoded body. The lengths of all chunks of a reply add up to the body's length.
    """

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One stored answer.

    `(tenant, key, form, ordinal)` is unique. `form` is how the client asked for it (`plain`,
    `sse`, …), `ordinal` counts repeats of the same request from 0 in the order they were sent.
    `request` is the request as far as it may be stored, as UTF-8 JSON:
    `{"method", "url", "headers": [[name, value], …], "body": …}`. Times are Unix seconds.
    """

    tenant: str
    key: str
    form: str
    provider: str
    protocol: str
    host: str
    operation: str
    model: str
    request: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ordinal: int = 0
    chunks: tuple[Chunk, ...] = ()
    ending: str = "stop"
    usage: Usage = field(default_factory=Usage)
    upstream_ms: int = 0
    version: int = 0
    created: float = 0.0
    hits: int = 0
    last_used: float = 0.0


@dataclass(frozen=True, slots=True)
class Vector:
    """One stored embedding: `values` is packed little-endian float32, `dimensions` × 4 bytes.

    `key` covers the provider, the model, every parameter and the one input. `tokens` is what this
    input cost as far as the provider let us know. `text` is the input shortened for people.
    """

    tenant: str
    key: str
    provider: str
    host: str
    model: str
    dimensions: int
    values: bytes
    text: str = ""
    tokens: int = 0
    version: int = 0
    created: float = 0.0
    hits: int = 0
    last_used: float = 0.0
