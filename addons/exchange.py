"""One request on its way through the proxy, with what we decided about it. It rides on the flow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mitmproxy import http

from addons.directives import Directives
from addons.protocols.base import Call, Protocol, Tokens
from addons.secrets import credentials, redacted, suspects
from cache import Reply
from config import Provider

_METADATA = "wiretape"


class Outcome(StrEnum):
    """What became of an exchange: the same words in headers, logs, metrics and docs."""

    HIT = "hit"
    PARTIAL = "partial"
    MISS = "miss"
    LOCAL = "local"
    PASS = "pass"
    NOT_RECORDED = "not-recorded"
    REFUSED = "refused"
    CUT = "cut"


@dataclass(slots=True)
class Exchange:
    """What we know of one request to an allow-listed host.

    `headers` are the request's, by lower-case name; `call` and `key` are set once the body was
    read and the request is one we can keep; without a key the request goes past the cache.
    `keeping` is done when the answer on its way has been stored, or will not be.
    `reason` says why something was passed, refused, not stored or not found. `created` is when the oldest of the stored
    vectors that answer it came, in Unix seconds; 0 where `reply` answers it, or nothing stored.
    """

    provider: Provider
    protocol: Protocol
    host: str
    mode: str
    scheme: str = "https"
    level: str = "normalized"
    tenant: str = "local"
    call: Call | None = None
    key: str = ""
    form: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    directives: Directives = field(default_factory=Directives)
    outcome: Outcome = Outcome.PASS
    reason: str = ""
    source: str = ""
    forwarded: str = ""
    stored: bool = False
    unstored: str = ""
    reply: Reply | None = None
    created: float = 0.0
    tokens: Tokens = field(default_factory=Tokens)
    saved: Tokens = field(default_factory=Tokens)
    saved_ms: int = 0
    billed: int | None = None
    started: float = field(default_factory=time.perf_counter)
    reported: bool = False
    keeping: asyncio.Future[None] | None = None
    _secrets: frozenset[str] | None = None
    _unkeepable: frozenset[str] | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """The credentials the request carries, never to be stored; looked for late, since a hit needs them not."""
        if self.call is None:
            return frozenset()
        if self._secrets is None:
            found = credentials(self.call.headers.items(), self.call.query, self.call.body)
            self._secrets = frozenset(found)
        return self._secrets

    @property
    def unkeepable(self) -> frozenset[str]:
        """What no kept answer may repeat: the credentials, and whatever else of the request may be one."""
        if self._unkeepable is None:
            self._unkeepable = self.secrets if self.call is None else self.secrets | suspects(self.call)
        return self._unkeepable

    @property
    def operation(self) -> str:
        """Method and path as they are stored and looked for: the same for all forms, no credential in it."""
        if self.call is None:
            return ""
        return str(redacted(f"{self.call.method} {self.protocol.operation(self.call)}", sorted(self.secrets)))

    @property
    def model(self) -> str:
        """The model asked for, or an empty string."""
        return self.protocol.model(self.call) if self.call is not None else ""

    def passes(self, reason: str) -> None:
        """Decide that this request goes past the cache, and why."""
        self.outcome, self.reason, self.key = Outcome.PASS, reason, ""


def attach(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Let `flow` carry `exchange`."""
    flow.metadata[_METADATA] = exchange


def of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange of `flow`; None for traffic to hosts we do not know."""
    exchange = flow.metadata.get(_METADATA)
    return exchange if isinstance(exchange, Exchange) else None
