"""The proxy within the test's process is the same proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.wire.upstream import Upstream

if TYPE_CHECKING:
    from tests.wire.inside import Inside


def test_it_starts_serves_and_stops(inside: Callable[..., Inside], upstream: Upstream, salt: str) -> None:
    proxy = inside()
    body = {"model": "m", "messages": [{"role": "user", "content": salt}]}
    with proxy.client() as client:
        answers = [client.post("https://api.openai.com/v1/chat/completions", json=body) for _ in range(2)]
    assert answers[0].content == answers[1].content == upstream.sent(salt)[0].body
    assert len(upstream.seen(salt)) == 1
    stats = proxy.call(proxy.running.store.stats())
    assert stats.replies == 1
    proxy.stop()
    assert [str(exchange.outcome) for exchange, _ in proxy.exchanges] == ["miss", "hit"]
