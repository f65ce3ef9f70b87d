"""Exchanges of unusual shape through the real proxy: recorded and replayed byte for byte, and cached or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PostgresServer
from tests.wire.asking import Got, got
from tests.wire.certificates import Authority
from tests.wire.playing import NUMBER, answers, play, wired
from tests.wire.proxy import Proxy
from tests.wire.shapes import EXCHANGES, OWN, with_another_boundary
from tests.wire.upstream import Upstream

Starting = Callable[..., Proxy]
Settings = Callable[[], dict[str, Any]]


@pytest.fixture(scope="module")
def upstream(authority: Authority) -> Iterator[Upstream]:
    """A provider that gives these answers."""
    with Upstream(authority, answers=answers(EXCHANGES)) as running:
        yield running


@pytest.fixture
def start(proxy: Starting, upstream: Upstream) -> Starting:
    """Starts proxies that know every host."""

    def starting(mode: str, **settings: Any) -> Proxy:
        return proxy(mode, upstream={"connect_to": wired(upstream, EXCHANGES)}, providers=OWN, **settings)

    return starting


def wrong(given: Sequence[Got], outcome: str) -> list[str]:
    """Which answers are not as recorded, a line each."""
    found = []
    for one, answer in zip(EXCHANGES, given, strict=True):
        expected = (one.status, dict(one.response_headers).get("content-type"), one.response_body, outcome)
        if (answer.status, answer.headers.get("content-type"), answer.body, answer.outcome) != expected:
            reason = answer.headers.get("x-wiretape-reason")
            found.append(f"{one.id}: {answer.status} {answer.outcome} {reason} {answer.body[:200]!r}")
    return found


@pytest.fixture
def sqlite() -> dict[str, Any]:
    """The store that needs no setting."""
    return {}


@pytest.fixture
def cassette(tmp_path: Path) -> dict[str, Any]:
    """A folder of text files as the store."""
    return {"cassette": str(tmp_path / "tape")}


@pytest.fixture
def database(postgres: PostgresServer) -> dict[str, Any]:
    """Postgres as the store."""
    return {"store": postgres.fresh_database()}


@pytest.mark.parametrize("store", ["sqlite", "cassette", "database"])
def test_replayed_as_recorded(store: str, start: Starting, upstream: Upstream, request: pytest.FixtureRequest) -> None:
    proxy = start("record", **request.getfixturevalue(store))
    assert wrong(play(proxy, EXCHANGES), "miss") == []
    with upstream.down():
        proxy.restart(mode="replay")
        assert wrong(play(proxy, EXCHANGES), "hit") == []
        uploads = [with_another_boundary(one) for one in EXCHANGES if "multipart" in str(one.request_headers)]
        assert {answer.outcome for answer in play(proxy, uploads)} == {"hit"}, "a boundary is in the key"


def test_the_cache_answers_or_says_why_not(start: Starting) -> None:
    proxy = start("cache")
    play(proxy, EXCHANGES)
    for one, answer in zip(EXCHANGES, play(proxy, EXCHANGES), strict=True):
        assert answer.status == one.status, one.id
        if answer.outcome != "hit":
            assert answer.headers["x-wiretape-reason"], one.id
        if one.id != "tokens":  # the vector is written anew
            assert answer.body == one.response_body, one.id
        assert one.method == "POST" or answer.outcome == "pass", one.id


def test_what_passes_shares_one_connection(start: Starting, upstream: Upstream) -> None:
    number = next(number for number, one in enumerate(EXCHANGES) if one.id == "models")
    before = upstream.connections
    with start("cache").connection("api.openai.com") as connection:
        for _ in range(12):
            connection.request("GET", "/v1/models", headers={NUMBER: str(number)})
            assert got(connection.getresponse()).outcome == "pass"
    assert upstream.connections == before + 1
