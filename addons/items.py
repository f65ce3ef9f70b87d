"""One embedding request taken apart: its inputs, a key for each, and what each of them cost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from addons.exchange import Exchange
from addons.identity import headers_of, query_of
from addons.protocols.base import Answers, BadReply, Batch, Call
from addons.secrets import redacted
from cache import Vector
from cache.keys import digest

_LABEL = 200
"""Characters of an input that are kept for people."""


@dataclass(slots=True)
class Job:
    """One embedding request on its way. `keys` and `items` run in the client's order, repeats included.

    `vectors` are those there are so far, `fresh` the keys of those this request has asked for
    itself, `under_way` those that other requests were asking for when this one came.
    """

    found: Exchange
    call: Call
    protocol: Batch
    items: list[Any]
    space: str
    keys: list[str]
    vectors: dict[str, Vector] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    under_way: dict[str, asyncio.Future[Vector]] = field(default_factory=dict)
    dimensions: int = 0
    model: str = ""
    rest: Any = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    billed: int | None = None

    def missing(self) -> dict[str, Any]:
        """Unknown inputs by key, each once."""
        return {key: item for key, item in zip(self.keys, self.items, strict=True) if key not in self.vectors}

    def agree(self, dimensions: int) -> None:
        """Every vector of one reply has one length, also where several come in at once. Raises BadReply."""
        if self.dimensions not in (0, dimensions):
            raise BadReply(f"the provider sent {dimensions} dimensions where it sent {self.dimensions} before")
        self.dimensions = dimensions

    @property
    def saved(self) -> int:
        """Tokens of the inputs that were not asked for, repeats counted each time."""
        return sum(self.vectors[key].tokens for key in self.keys if key not in self.fresh)


def item_keys(
    found: Exchange, call: Call, protocol: Batch, items: Sequence[Any], namespace: str
) -> tuple[str, list[str]]:
    """The key of the vector space (provider, host, model, all parameters), and of each input in it."""
    space: dict[str, Any] = {
        "level": found.level,
        "namespace": namespace,
        "provider": found.provider.name,
        "host": found.host,
        "protocol": protocol.name,
    }
    if found.level != "content":
        space["operation"] = protocol.operation(call)
        space["query"] = query_of(call, protocol)
        space["headers"] = headers_of(call, protocol)
        space["space"] = protocol.space(call)
    common = digest(space)
    return common, [digest({"space": common, "item": item}) for item in items]


def shares(total: int | None, items: Sequence[Any]) -> list[int]:
    """`total` tokens shared out over inputs by their length; the shares add up to the total exactly."""
    if not total or not items:
        return [0] * len(items)
    weights = [max(1, len(item) if isinstance(item, str | list) else len(str(item))) for item in items]
    whole = sum(weights)
    given = [total * weight // whole for weight in weights]
    for index in range(total - sum(given)):
        given[index % len(given)] += 1
    return given


def vectors_of(found: Exchange, wanted: Sequence[tuple[str, Any]], read: Answers, version: int) -> list[Vector]:
    """What a reply to `wanted` (keys and inputs) holds, as it is stored."""
    now = time.time()
    costs = shares(read.tokens, [item for _, item in wanted])
    return [
        Vector(
            tenant=found.tenant,
            key=key,
            provider=found.provider.name,
            host=found.host,
            model=read.model or found.model,
            dimensions=len(values) // 4,
            values=values,
            text=_label(item, found.secrets),
            tokens=tokens,
            version=version,
            created=now,
            last_used=now,
        )
        for (key, item), values, tokens in zip(wanted, read.vectors, costs, strict=True)
    ]


def unique(vectors: Sequence[Vector]) -> list[Vector]:
    """Each key once."""
    found: Mapping[str, Vector] = {vector.key: vector for vector in vectors}
    return list(found.values())


def _label(item: Any, secrets: frozenset[str]) -> str:
    """An input shortened for people; token lists and structured inputs as JSON, a secret not at all."""
    text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)[: 4 * _LABEL]
    return str(redacted(text, sorted(secrets)))[:_LABEL]
