"""What is told of an exchange: headers in the words of RFC 9211, one report, and books that add up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.flow import Error

from addons import answers
from addons.exchange import Exchange, Outcome
from addons.protocols.base import Tokens
from addons.trace import Trace, cache_status, headers_of
from cache import Store, StoreError, Usage
from tests.unit.exchanges import KEY, flow, made, reply


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"outcome": Outcome.HIT, "source": "cache"}, "wiretape; hit"),
        ({"outcome": Outcome.HIT, "source": "shared"}, "wiretape; fwd=miss; collapsed"),
        ({"outcome": Outcome.LOCAL}, "wiretape; hit"),
        ({"outcome": Outcome.MISS, "stored": True}, "wiretape; fwd=miss; stored"),
        ({"outcome": Outcome.MISS, "forwarded": "stale"}, "wiretape; fwd=stale"),
        ({"outcome": Outcome.MISS, "forwarded": "request", "stored": True}, "wiretape; fwd=request; stored"),
        ({"outcome": Outcome.MISS, "forwarded": "bypass"}, "wiretape; fwd=bypass"),
        ({"outcome": Outcome.PARTIAL, "forwarded": "miss", "stored": True}, "wiretape; fwd=partial; stored"),
        ({"outcome": Outcome.PASS, "reason": "mode is off"}, 'wiretape; fwd=bypass; detail="mode is off"'),
        ({"outcome": Outcome.NOT_RECORDED, "reason": "differs"}, 'wiretape; detail="differs"'),
        ({"outcome": Outcome.REFUSED, "reason": "only-if-cached"}, 'wiretape; detail="only-if-cached"'),
        ({"outcome": Outcome.CUT, "reason": 'a "b"\r\n\\é'}, 'wiretape; fwd=miss; detail="a ?b?????"'),
    ],
)
def test_cache_status(fields: dict[str, Any], status: str) -> None:
    assert cache_status(made(**fields)) == status


def test_headers_say_key_source_reason_billing_and_age() -> None:
    hit = dict(headers_of(made(outcome=Outcome.HIT, source="cache", reply=reply(created=time.time() - 65))))
    assert hit["x-wiretape-outcome"] == "hit"
    assert hit["x-wiretape-source"] == "cache"
    assert KEY.startswith(hit["x-wiretape-key"])
    assert 65 <= int(hit["Age"]) < 125
    assert "x-wiretape-reason" not in hit
    vectors = dict(headers_of(made(outcome=Outcome.HIT, created=time.time() + 60)))
    assert vectors["Age"] == "0"
    partial = dict(headers_of(made(outcome=Outcome.PARTIAL, billed=0, unstored="no-store")))
    assert partial["x-wiretape-billed-tokens"] == "0"
    assert partial["x-wiretape-reason"] == "no-store"
    assert "Age" not in partial
    passed = dict(headers_of(made(key="", outcome=Outcome.PASS, reason="websocket\r\nx: y")))
    assert "x-wiretape-key" not in passed
    assert passed["x-wiretape-reason"] == "websocket??x: y"


Reported = list[tuple[str, str, int]]
"""Outcome, reason and status of each exchange that is over."""


def tracing(store: Store) -> tuple[Trace, Reported]:
    reported: Reported = []

    def report(found: Exchange, _: float, status: int) -> None:
        reported.append((str(found.outcome), found.reason, status))

    return Trace(store, report), reported


def pass_through(trace: Trace, found: Exchange, status: int = 200) -> http.HTTPFlow:
    passing = flow(found)
    trace.requestheaders(passing)
    passing.response = answers.response(status, [("x-wiretape-key", "forged"), ("Age", "9"), ("a", "b")], b"{}")
    trace.responseheaders(passing)
    trace.response(passing)
    return passing


async def test_forged_headers_of_ours_are_replaced(store: Store) -> None:
    trace, _ = tracing(store)
    response = pass_through(trace, made(outcome=Outcome.MISS)).response
    assert response is not None
    assert response.headers.get_all("x-wiretape-key") == [KEY[:16]]
    assert "age" not in response.headers
    assert response.headers["a"] == "b"


async def test_passed_answers_flow_and_all_others_are_whole(store: Store) -> None:
    trace, _ = tracing(store)
    passed, missed = (pass_through(trace, made(outcome=outcome)) for outcome in (Outcome.PASS, Outcome.MISS))
    assert passed.response is not None
    assert missed.response is not None
    assert passed.response.stream
    assert not missed.response.stream


async def test_an_exchange_is_reported_once(store: Store) -> None:
    trace, reported = tracing(store)
    passing = pass_through(trace, made(outcome=Outcome.MISS), 201)
    trace.error(passing)
    assert reported == [("miss", "", 201)]
    assert trace.totals["miss"] == 1


async def test_what_breaks_off_is_cut_and_says_why(store: Store) -> None:
    trace, reported = tracing(store)
    for outcome, unstored in ((Outcome.MISS, "cut"), (Outcome.PASS, ""), (Outcome.HIT, "")):
        broken = flow(made(outcome=outcome, unstored=unstored))
        broken.error = Error("it broke off")
        trace.requestheaders(broken)
        trace.error(broken)
    assert reported == [("cut", "it broke off", 0), ("cut", "it broke off", 0), ("hit", "", 0)]


async def test_a_client_that_leaves_makes_no_cut_and_is_told_when_its_answer_is_kept(store: Store) -> None:
    trace, reported = tracing(store)
    found = made(outcome=Outcome.MISS, keeping=asyncio.get_running_loop().create_future())
    left = flow(found)
    left.error = Error("the client left")
    trace.requestheaders(left)
    trace.error(left)
    assert reported == []
    assert found.keeping is not None
    found.keeping.set_result(None)
    await asyncio.wait_for(trace.idle(), 10)
    assert reported == [("miss", "", 0)]


async def test_the_books_add_up(store: Store) -> None:
    trace, _ = tracing(store)
    kept = reply(usage=Usage(7, 5), upstream_ms=100)
    for _ in range(2):
        pass_through(trace, made(outcome=Outcome.MISS, tokens=Tokens(7, 5), unstored="length"))
        pass_through(trace, made(outcome=Outcome.HIT, source="cache", reply=kept, tokens=Tokens(1, 1)))
    pass_through(trace, made(outcome=Outcome.PARTIAL, tokens=Tokens(3), saved=Tokens(4)))
    await trace.flush()
    pass_through(trace, made(outcome=Outcome.HIT, source="cache", reply=kept))
    await trace.flush()
    lines = {tally.outcome: tally for tally in (await store.stats()).tallies}
    assert {name: line.count for name, line in lines.items()} == {"miss": 2, "hit": 3, "partial": 1}
    assert (lines["miss"].input_tokens, lines["miss"].output_tokens, lines["miss"].note) == (14, 10, "length")
    assert (lines["hit"].input_tokens, lines["hit"].saved_input_tokens, lines["hit"].saved_ms) == (0, 21, 300)
    assert (lines["partial"].input_tokens, lines["partial"].saved_input_tokens) == (3, 4)
    assert trace.totals["saved_tokens"] == 3 * 12 + 4
    assert trace.totals["saved_ms"] == 300


async def test_books_that_cannot_be_written_are_written_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trace, _ = tracing(store)

    async def broken(_: object) -> None:
        pass_through(trace, made(outcome=Outcome.MISS, tokens=Tokens(1)))  # meanwhile
        raise StoreError("gone")

    pass_through(trace, made(outcome=Outcome.MISS, tokens=Tokens(1)))
    with monkeypatch.context() as patched:
        patched.setattr(store, "add", broken)
        await trace.flush()
    await trace.done()
    (line,) = (await store.stats()).tallies
    assert (line.count, line.input_tokens) == (2, 2)


async def test_it_is_idle_when_every_exchange_is_over(store: Store) -> None:
    trace, _ = tracing(store)
    opened = [flow(made(outcome=Outcome.HIT)) for _ in range(2)]
    await trace.idle()
    for one in opened:
        trace.requestheaders(one)
    trace.response(opened[0])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await trace.idle()
    trace.error(opened[1])
    await trace.idle()
