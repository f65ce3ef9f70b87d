"""Real SDKs behind a real proxy that caches: the second time is the first time again, without the provider."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.wire.heard import Heard
from tests.wire.proxy import Proxy
from tests.wire.sdks import MODELS, QUIET, WAYS, Way
from tests.wire.upstream import Upstream

pytestmark = QUIET


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_asked_again_it_is_a_hit(
    way: Way, caching: Proxy, upstream: Upstream, salt: str, heard: Heard, behind: Callable[[Proxy], None]
) -> None:
    behind(caching)
    first = way.ask(salt)
    asked = len(heard)
    assert len(upstream.seen(salt)) == asked > 0
    assert [headers["x-wiretape-outcome"] for _, headers in heard] == ["miss"] * asked
    second = way.ask(salt)
    assert second == first
    assert len(upstream.seen(salt)) == asked, "the provider was asked again"
    assert [headers["x-wiretape-outcome"] for _, headers in heard[asked:]] == ["hit"] * asked
    assert [headers["x-wiretape-key"] for _, headers in heard[asked:]] == [
        headers["x-wiretape-key"] for _, headers in heard[:asked]
    ]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_another_question_is_another_answer(
    way: Way, caching: Proxy, upstream: Upstream, salt: str, heard: Heard, behind: Callable[[Proxy], None]
) -> None:
    behind(caching)
    other = f"other {salt}"
    assert way.ask(salt) != way.ask(other)
    assert {headers["x-wiretape-outcome"] for _, headers in heard} <= {"miss", "partial"}
    assert upstream.seen(other)


def test_a_hit_says_so_in_the_words_of_http(
    caching: Proxy, salt: str, heard: Heard, behind: Callable[[Proxy], None]
) -> None:
    behind(caching)
    way = next(way for way in WAYS if way.name == "openai-chat")
    way.ask(salt)
    way.ask(salt)
    (_, miss), (_, hit) = heard
    assert miss["cache-status"].startswith("wiretape; fwd=miss")
    assert miss["x-wiretape-source"] == "upstream"
    assert "age" not in miss
    assert hit["cache-status"] == "wiretape; hit"
    assert hit["x-wiretape-source"] == "cache"
    assert int(hit["age"]) >= 0
    assert miss["content-type"] == hit["content-type"]
    for name in ("set-cookie", "x-request-id", "x-ratelimit-remaining-requests"):
        assert name in miss, "what the provider sends reaches the client"
        assert name not in hit, "what belonged to one answer is not told twice"


def test_a_list_of_models_passes_in_cache_mode(caching: Proxy, heard: Heard, behind: Callable[[Proxy], None]) -> None:
    behind(caching)
    assert MODELS.ask("") != MODELS.ask("")
    assert [headers["x-wiretape-outcome"] for _, headers in heard] == ["pass", "pass"]
