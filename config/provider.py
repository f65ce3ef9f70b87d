"""One provider: its hosts, and which of its paths speak which protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from config.hosts import HostPattern
from config.paths import PathPattern


@dataclass(frozen=True, slots=True)
class Route:
    """Requests of one method to paths of one pattern speak one protocol."""

    method: str
    pattern: PathPattern
    protocol: str


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """One provider, compiled.

    `base_url` is `scheme://host[:port]`, where a request to our own address is sent on to, or None
    if it cannot be told. `door` are the paths at our own address that are this provider's without
    its name in front. `match` and `max_batch` (inputs per embedding request) override the general
    ones; `key_headers` (lower case) can change an answer here besides those of the protocol.
    """

    name: str
    hosts: tuple[HostPattern, ...]
    base_url: str | None
    routes: tuple[Route, ...]
    door: tuple[PathPattern, ...] = ()
    match: Literal["normalized", "content", "exact"] | None = None
    max_batch: int | None = None
    key_headers: tuple[str, ...] = ()
    _fixed: Mapping[tuple[str, str], str] = field(init=False, repr=False)
    _open: Mapping[str, tuple[Route, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        fixed: dict[tuple[str, str], str] = {}
        varying: dict[str, tuple[Route, ...]] = {}
        for route in self.routes:
            if route.pattern.fixed:
                fixed.setdefault((route.method, route.pattern.text), route.protocol)
            else:
                varying[route.method] = (*varying.get(route.method, ()), route)
        object.__setattr__(self, "_fixed", MappingProxyType(fixed))
        object.__setattr__(self, "_open", MappingProxyType(varying))

    def route(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """Protocol and named path pieces (percent-decoded) of a request, or None where we know no route.

        `path` is as on the wire, without the query. A path written out goes before a pattern.
        """
        if (protocol := self._fixed.get((method, path))) is not None:
            return protocol, {}
        for route in self._open.get(method, ()):
            if (params := route.pattern.match(path)) is not None:
                return route.protocol, params
        return None

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols spoken here, each once, in the order of the routes."""
        return tuple(dict.fromkeys(route.protocol for route in self.routes))
