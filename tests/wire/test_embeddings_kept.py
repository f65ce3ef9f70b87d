"""Which stored vectors answer: modes, levels, what the client says, generations, and a store that is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.wire import behaviours
from tests.wire.asking import ask, embed
from tests.wire.conftest import Starting
from tests.wire.embedding import expected, inputs, used, vectors
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream

if TYPE_CHECKING:
    from tests.wire.inside import Inside


def test_no_cache_asks_for_all_of_it_anew_and_keeps_that(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b"
    ask(caching, embed(a))
    other = {"data": [{"index": n, "embedding": [float(n), 0.5]} for n in range(2)], "model": "embed-test"}
    upstream.script(salt, behaviours.giving(200, json.dumps(other).encode()))
    fresh = ask(caching, embed(a, b), cache_control="no-cache")
    assert fresh.outcome == "miss"
    assert fresh.headers["cache-status"] == "wiretape; fwd=request; stored"
    assert inputs(upstream.seen(salt)) == [[a], [a, b]]
    assert vectors(ask(caching, embed(b, a))) == [[1.0, 0.5], [0.0, 0.5]]


def test_no_store_uses_what_is_known_and_keeps_nothing(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b"
    ask(caching, embed(a))
    for _ in range(2):
        answer = ask(caching, embed(a, b), cache_control="no-store")
        assert (answer.outcome, vectors(answer)) == ("partial", expected(a, b))
        assert "stored" not in answer.headers["cache-status"]
    assert inputs(upstream.seen(salt)) == [[a], [b], [b]]


def test_only_if_cached_never_asks(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b"
    ask(caching, embed(a, b))
    known = ask(caching, embed(b), cache_control="only-if-cached")
    assert (known.outcome, vectors(known)) == ("hit", expected(b))
    unknown = ask(caching, embed(b, f"{salt} c"), cache_control="only-if-cached")
    assert (unknown.status, unknown.outcome) == (504, "refused")
    assert "error" in json.loads(unknown.body)
    assert len(upstream.seen(salt)) == 1


@pytest.mark.parametrize(("age", "outcome"), [("0", "miss"), ("3600", "hit"), ("nonsense", "miss")])
def test_max_age_bounds_what_is_known(age: str, outcome: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    ask(caching, embed(salt))
    answer = ask(caching, embed(salt), cache_control=f"max-age={age}")
    assert answer.outcome == outcome
    assert len(upstream.seen(salt)) == (1 if outcome == "hit" else 2)


def test_recorded_as_a_whole_replayed_whole_or_from_the_vectors(proxy: Starting, upstream: Upstream, salt: str) -> None:
    a, b, c = f"{salt} a", f"{salt} b", f"{salt} c"
    running = proxy("record")
    recorded = [ask(running, embed(*texts)) for texts in ((a, b), (b, a, b), (a, c))]
    assert [answer.outcome for answer in recorded] == ["miss"] * 3
    assert inputs(upstream.seen(salt)) == [[a, b], [b, a, b], [a, c]]
    running.restart(mode="replay")
    with upstream.down():
        again = [ask(running, embed(*texts)) for texts in ((a, b), (b, a, b), (a, c))]
        assert [answer.body for answer in again] == [answer.body for answer in recorded]
        mixed = ask(running, embed(c, b, encoding_format="float"))
        assert (mixed.outcome, vectors(mixed)) == ("hit", expected(c, b))
        unknown = ask(running, embed(a, f"{salt} d"))
    assert (unknown.status, unknown.outcome) == (424, "not-recorded")
    assert unknown.headers["x-should-retry"] == "false"
    message = json.loads(unknown.body)["error"]["message"]
    assert "input[1]: " in message
    assert f'asked "{salt} d"' in message
    assert "input[0]" not in message
    assert len(upstream.seen(salt)) == 3


def test_replay_answers_from_vectors_however_old_and_asks_for_none(
    proxy: Starting, upstream: Upstream, salt: str
) -> None:
    a, b = f"{salt} a", f"{salt} b"
    running = proxy()
    ask(running, embed(a, b))
    running.restart(mode="replay", version=3, refresh_below=3)
    connections = upstream.connections
    for directive in ("max-age=0", "no-cache"):
        answer = ask(running, embed(b, a), cache_control=directive)
        assert (answer.outcome, vectors(answer)) == ("hit", expected(b, a))
    assert ask(running, embed(a, f"{salt} c")).status == 424
    assert upstream.connections == connections


def test_read_uses_what_is_known_and_keeps_nothing(proxy: Starting, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b"
    running = proxy()
    ask(running, embed(a))
    running.restart(mode="read")
    answers = [ask(running, embed(a, b)) for _ in range(2)]
    assert [answer.outcome for answer in answers] == ["partial", "partial"]
    assert [vectors(answer) for answer in answers] == [expected(a, b)] * 2
    assert inputs(upstream.seen(salt)) == [[a], [b], [b]]


def test_at_level_content_the_model_does_not_matter(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b"
    ask(caching, embed(a, b), x_wiretape_match="content")
    other = ask(caching, embed(b, model="other", dimensions=4), x_wiretape_match="content")
    assert (other.outcome, vectors(other)) == ("hit", expected(b))
    assert ask(caching, embed(b)).outcome == "miss"
    assert len(upstream.seen(salt)) == 2


def test_at_level_exact_requests_are_not_taken_apart(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b"
    asked = [embed(a, b), embed(a, b), embed(b, a), embed(a)]
    answers = [ask(caching, one, x_wiretape_match="exact") for one in asked]
    assert [answer.outcome for answer in answers] == ["miss", "hit", "miss", "miss"]
    assert answers[1].body == answers[0].body
    assert inputs(upstream.seen(salt)) == [[a, b], [b, a], [a]]


def test_older_versions_are_asked_again(proxy: Starting, upstream: Upstream, salt: str) -> None:
    a, b, c = f"{salt} a", f"{salt} b", f"{salt} c"
    running = proxy(version=1)
    ask(running, embed(a, b))
    running.restart(version=2)
    assert ask(running, embed(a, c)).outcome == "partial"
    running.restart(refresh_below=2)
    answer = ask(running, embed(a, b, c))
    assert (answer.outcome, answer.headers["x-wiretape-billed-tokens"]) == ("partial", str(used(a, b)))
    assert ask(running, embed(a, b, c)).outcome == "hit"
    assert inputs(upstream.seen(salt)) == [[a, b], [c], [a, b]]


def test_vectors_past_their_age_are_asked_again(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy(max_age=0.001)
    answers = [ask(running, embed(salt)) for _ in range(2)]
    assert [answer.outcome for answer in answers] == ["miss", "miss"]
    assert answers[1].headers["cache-status"] == "wiretape; fwd=stale; stored"
    assert len(upstream.seen(salt)) == 2


def test_a_reply_too_long_to_keep_still_passes(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy(max_reply_bytes=1000)
    texts = [f"{salt} {n}" for n in range(9)]
    for wanted in (texts, [*texts, texts[0]]):
        answer = ask(running, embed(*wanted))
        assert (answer.outcome, vectors(answer)) == ("miss", expected(*wanted))
        assert answer.headers["x-wiretape-reason"] == "too large"
    assert len(upstream.seen(salt)) == 2


def test_a_reply_too_long_to_keep_passes_in_however_many_pieces_it_comes(
    proxy: Starting, upstream: Upstream, salt: str
) -> None:
    running = proxy(max_reply_bytes=1000)
    upstream.script(salt, behaviours.huge(20_000, b" " * 100))
    answer = ask(running, embed(salt))
    assert (answer.outcome, vectors(answer)) == ("miss", expected(salt))
    assert answer.headers["x-wiretape-reason"] == "too large"


@pytest.mark.parametrize("mode", ["cache", "read", "replay"])
def test_without_its_store_it_asks_for_all_or_refuses(
    mode: str, inside: Callable[..., Inside], upstream: Upstream, salt: str
) -> None:
    a, b = f"{salt} a", f"{salt} b"
    filled = inside()
    ask(filled, embed(a, b))
    filled.stop()
    running = inside(mode, home=filled.home)
    assert ask(running, embed(b)).outcome == "hit"
    running.call(running.running.store.close())
    for texts in ((b, a), (a, f"{salt} c")):
        answer = ask(running, embed(*texts))
        if mode == "replay":
            assert (answer.status, answer.outcome) == (424, "not-recorded")
            assert "store cannot be read" in json.loads(answer.body)["error"]["message"]
        else:
            assert (answer.outcome, vectors(answer)) == ("miss", expected(*texts))
            assert answer.headers["cache-status"] == "wiretape; fwd=bypass"
    assert len(upstream.seen(salt)) == (1 if mode == "replay" else 3)
