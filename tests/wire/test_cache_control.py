"""What clients ask of a cache in HTTP's own words, and what it tells them: whoever forges that is overridden."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.wire import behaviours
from tests.wire.asking import ask, chat
from tests.wire.behaviours import Sending
from tests.wire.conftest import Starting
from tests.wire.hostile import HOST, said, send
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream

pytestmark = pytest.mark.usefixtures("calm")


FORGED = [
    ("x-wiretape-outcome", "hit"),
    ("x-wiretape-key", "forged"),
    ("X-Wiretape-Anything", "forged"),
    ("cache-status", "wiretape; hit"),
    ("Cache-Status", "other; hit"),
    ("age", "99"),
]


@pytest.mark.parametrize("kind", ["miss", "pass", "stream", "502"])
def test_forged_headers_are_overridden(kind: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    def behave(sending: Sending) -> None:
        sending.answer.headers.extend(FORGED)
        behaviours.answering(sending)

    upstream.script(salt, behave)
    body = said(salt, ', "stream": true' if kind == "stream" else ', "store": true' if kind == "pass" else "")
    if kind == "502":
        upstream.script(salt, behaviours.hanging_up)
    answer = send(caching, body, x_wiretape_outcome="hit", x_wiretape_tenant="other", cache_status="x; hit", age="9")
    outcome = {"stream": "miss", "502": "cut"}.get(kind, kind)
    assert answer.outcome == outcome
    assert answer.headers["cache-status"].startswith("wiretape; fwd=")
    assert "age" not in answer.headers
    assert "forged" not in "".join(answer.headers.values())
    assert "x-wiretape-anything" not in answer.headers
    assert not [name for seen in upstream.seen(salt) for name, _ in seen.headers if name.startswith("x-wiretape")]
    if kind in ("miss", "stream"):
        again = send(caching, body)
        assert again.outcome == "hit"
        assert again.headers["cache-status"] == "wiretape; hit"
        assert int(again.headers["age"]) < 60
        belongs = {"set-cookie", "x-request-id", "x-ratelimit-remaining-requests", "openai-organization", "date"}
        assert not belongs & set(again.headers)
        assert belongs <= set(answer.headers), "this client was meant to have them"


def many(count: int, piece: bytes = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n') -> bytes:
    """A stream of many small events."""
    last = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    return piece * count + last


def test_a_hundred_thousand_events(caching: Proxy, upstream: Upstream, salt: str) -> None:
    body = many(100_000)

    def behave(sending: Sending) -> None:
        sending.head("chunked")
        for start in range(0, len(body), 4001):  # never at an event's end
            sending.send(body[start : start + 4001])
        sending.end()

    upstream.script(salt, behave)
    asked = chat(salt, stream=True)
    first, second = ask(caching, asked), ask(caching, asked)
    assert first.body == second.body == body
    assert [first.outcome, second.outcome] == ["miss", "hit"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_slow_reader_holds_nobody_up(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy(max_reply_bytes="8MiB")
    upstream.script(salt, behaviours.huge(40 << 20))
    with running.connection(HOST) as slow:
        response = chat(salt, stream=True).on(slow)
        assert response.read(1)
        for number in range(20):
            assert ask(running, chat(f"other {salt[5:]} {number}")).status == 200
        assert len(response.read()) >= 40 << 20
    assert ask(running, chat(salt, stream=True)).outcome == "miss", "an answer over the limit was kept"


def steps(proxy: Proxy, body: bytes, *directives: str) -> list[str]:
    """The outcomes of one request under each of these directives in turn."""
    return [send(proxy, body, **({"cache_control": each} if each else {})).outcome for each in directives]


def test_no_cache_asks_again_and_keeps_the_newer(caching: Proxy, upstream: Upstream, salt: str) -> None:
    assert steps(caching, said(salt), "", "no-cache", "") == ["miss", "miss", "hit"]
    assert send(caching, said(salt)).body == upstream.sent(salt)[1].body


@pytest.mark.parametrize("value", ["max-age=0", "max-age=-1", "max-age=x", "max-age=", 'max-age="0"', "max-age=1.5"])
def test_an_age_that_nothing_can_have(value: str, caching: Proxy, salt: str) -> None:
    assert steps(caching, said(salt), "", value, value.upper(), "") == ["miss", "miss", "miss", "hit"]


@pytest.mark.parametrize(
    "value", ["max-age=600", "max-age=99999999999", "max-stale", "", ",,=,", "private, max-age=600", "s-maxage=0"]
)
def test_an_age_that_it_has(value: str, caching: Proxy, salt: str) -> None:
    assert steps(caching, said(salt), "", value) == ["miss", "hit"]


def test_an_endless_age(caching: Proxy, salt: str) -> None:
    assert steps(caching, said(salt), "", "max-age=" + "9" * 5000)[0] == "miss"
    assert send(caching, said(salt)).status == 200


def test_only_if_cached(caching: Proxy, upstream: Upstream, salt: str) -> None:
    refused = send(caching, said(salt), cache_control="only-if-cached")
    assert (refused.status, refused.outcome) == (504, "refused")
    assert refused.headers["cache-status"].startswith("wiretape; detail=")
    assert upstream.seen(salt) == []
    first = send(caching, said(salt))
    again = send(caching, said(salt), cache_control="only-if-cached")
    assert (again.status, again.outcome, again.body) == (200, "hit", first.body)
    assert send(caching, said(salt), cache_control="only-if-cached, no-cache").status == 504


def test_no_store_leaves_no_trace(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy(log_level="debug")
    secret = salt.split("-")[-1]
    words: list[Any] = [said(secret), said(secret, ', "stream": true')]
    for body in words:
        assert steps(running, body, "no-store", "no-store") == ["miss", "miss"]
    embedding = json.dumps({"model": "e", "input": [secret]}).encode()
    assert send(running, embedding, target="/v1/embeddings", cache_control="no-store").outcome == "miss"
    running.stop()
    assert not [path for path in running.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert secret not in "\n".join(running.log)


def test_no_store_does_not_touch_what_is_stored(caching: Proxy, upstream: Upstream, salt: str) -> None:
    first = send(caching, said(salt))
    send(caching, said(salt), cache_control="no-store, no-cache")
    assert send(caching, said(salt)).body == first.body
    assert len(upstream.seen(salt)) == 2


def test_what_is_stale_is_asked_again(proxy: Starting, salt: str) -> None:
    running = proxy()
    first = send(running, said(salt))
    assert first.headers["cache-status"] == "wiretape; fwd=miss; stored"
    running.restart(version=2, refresh_below=2)
    again = send(running, said(salt))
    assert again.headers["cache-status"] == "wiretape; fwd=stale; stored"
    assert again.body != first.body
    hit = send(running, said(salt))
    assert (hit.headers["cache-status"], hit.body) == ("wiretape; hit", again.body)
