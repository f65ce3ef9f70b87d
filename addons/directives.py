"""What a client says about caching in its request: `Cache-Control` (RFC 9111 §5.2.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Directives:
    """`max_age` is in seconds; None when the client did not say."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: int | None = None

    @property
    def unshared(self) -> bool:
        """Whether nothing will do that was asked for before: not even an answer that is still on its way."""
        return self.no_cache or self.max_age == 0


def parse(header: str) -> Directives:
    """Read a request's `Cache-Control`.

    Unknown directives are ignored. A `max-age` that is no number counts as 0, since a cache that
    cannot read a freshness limit must treat what it holds as stale.
    """
    seen: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name:
            seen[name.lower()] = value.strip().strip('"')
    max_age: int | None = None
    if "max-age" in seen:
        value = seen["max-age"]
        max_age = int(value) if value.isascii() and value.isdigit() and len(value) < 16 else 0
    return Directives("no-cache" in seen, "no-store" in seen, "only-if-cached" in seen, max_age)
