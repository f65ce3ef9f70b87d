"""Real recorded traffic through the real proxy: recorded once, replayed byte for byte from every kind of store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import traffic
from tests.postgres import PostgresServer
from tests.traffic import Recorded
from tests.unit.test_mutations import is_noise, mutations, pattern, recorded_requests
from tests.wire.asking import KEY, Got
from tests.wire.certificates import Authority
from tests.wire.playing import answers, play, wired
from tests.wire.proxy import Proxy
from tests.wire.reach import clean_environment
from tests.wire.upstream import Upstream

pytestmark = pytest.mark.skipif(not traffic.present(), reason=traffic.MISSING)

# One recorded host is of no provider: the user's own block makes it one.
OWN = {
    "demo": {
        "hosts": "demo-endpoints.pydantic.workers.dev",
        "routes": {"POST /bin/content-type/application/json/chat/completions": "openai_chat"},
    }
}
RUN = Path(__file__).parents[2] / "run.py"

Starting = Callable[..., Proxy]


@pytest.fixture(scope="module")
def exchanges() -> list[Recorded]:
    """Everything that was answered well, in order."""
    return [exchange for exchange in traffic.load() if exchange.ok]


@pytest.fixture(scope="module")
def upstream(authority: Authority, exchanges: list[Recorded]) -> Iterator[Upstream]:
    """A provider that gives the recorded answers."""
    with Upstream(authority, answers=answers(exchanges)) as running:
        yield running


@pytest.fixture(scope="module")
def start(module_proxy: Starting, upstream: Upstream, exchanges: list[Recorded]) -> Starting:
    """Starts proxies that know every host of the traffic."""
    connect_to = wired(upstream, exchanges)

    def starting(mode: str, **settings: Any) -> Proxy:
        return module_proxy(mode, upstream={"connect_to": connect_to}, providers=OWN, **settings)

    return starting


def wrong(exchanges: Sequence[Recorded], given: Sequence[Got], outcome: str) -> list[str]:
    """What differs between answers and recordings, a line each."""
    found = []
    for exchange, got in zip(exchanges, given, strict=True):
        differs = {
            "status": got.status != exchange.status,
            "type": got.headers.get("content-type") != dict(exchange.response_headers)["content-type"],
            "body": got.body != exchange.response_body,
            "outcome": got.outcome != outcome,
        }
        if any(differs.values()):
            names = " ".join(name for name, differing in differs.items() if differing)
            why = got.headers.get("x-wiretape-reason", "")
            found.append(f"{exchange.id}: {names}: {got.status} {got.outcome} {why} {got.body[:300]!r}")
    return found


def recorded(proxy: Proxy, exchanges: Sequence[Recorded]) -> Proxy:
    """Record everything, and stop."""
    assert wrong(exchanges, play(proxy, exchanges), "miss") == []
    proxy.stop()
    return proxy


def replays(proxy: Proxy, upstream: Upstream, exchanges: Sequence[Recorded]) -> None:
    """Everything comes as recorded, although the provider is gone."""
    before = upstream.connections
    with upstream.down():
        assert wrong(exchanges, play(proxy, exchanges), "hit") == []
    assert upstream.connections == before
    proxy.stop()


@pytest.fixture(scope="module")
def sqlite(start: Starting, exchanges: list[Recorded]) -> Proxy:
    """A proxy that recorded everything into SQLite, stopped."""
    return recorded(start("record"), exchanges)


def test_replayed_from_sqlite(sqlite: Proxy, upstream: Upstream, exchanges: list[Recorded]) -> None:
    sqlite.restart(mode="replay")
    replays(sqlite, upstream, exchanges)


def test_replayed_from_postgres(
    start: Starting, postgres: PostgresServer, upstream: Upstream, exchanges: list[Recorded]
) -> None:
    proxy = recorded(start("record", store=postgres.fresh_database()), exchanges)
    proxy.restart(mode="replay")
    replays(proxy, upstream, exchanges)


def test_replayed_from_a_cassette(
    start: Starting, tmp_path: Path, upstream: Upstream, exchanges: list[Recorded]
) -> None:
    folder = tmp_path / "tape"
    proxy = recorded(start("record", cassette=str(folder)), exchanges)
    proxy.restart(mode="replay")
    replays(proxy, upstream, exchanges)
    assert KEY.encode() not in b"".join(file.read_bytes() for file in folder.rglob("*.yaml"))


def test_replayed_from_an_export_and_from_its_import(
    sqlite: Proxy, start: Starting, tmp_path: Path, upstream: Upstream, exchanges: list[Recorded]
) -> None:
    folder = tmp_path / "exported"
    moved = move(sqlite.home, "export", folder)
    assert moved["replies"] >= len(exchanges)
    home = tmp_path / "imported"
    assert move(home, "import", folder) == moved
    replays(start("replay", cassette=str(folder)), upstream, exchanges)
    replays(start("replay", home=home), upstream, exchanges)


def test_a_changed_request_is_not_recorded(sqlite: Proxy, upstream: Upstream, exchanges: list[Recorded]) -> None:
    """One request of each protocol, each of its leaves changed in turn; what all others do is told without sockets."""
    by_url = {exchange.url: exchange for exchange in exchanges}
    chosen = {
        request.protocol: exchange
        for request in recorded_requests()
        if (exchange := by_url.get(f"https://{request.host}{request.call.path}")) is not None
    }
    asked = []
    for protocol, exchange in chosen.items():
        body = json.loads(exchange.request_body)
        for what, place in mutations(body):
            if what in ("changed", "added") and not is_noise(protocol, place):
                name = f"{exchange.id} {what} {pattern(place)}"
                asked.append(replace(exchange, id=name, request_body=json.dumps(body).encode()))
    sqlite.restart(mode="replay")
    with upstream.down():
        given = play(sqlite, asked)
    sqlite.stop()
    found = [(one.id, got.status, got.outcome) for one, got in zip(asked, given, strict=True) if got.status != 424]
    assert found == []
    assert {got.outcome for got in given} == {"not-recorded"}
    assert len(chosen) > 8


def move(home: Path, direction: str, folder: Path) -> dict[str, Any]:
    """`run.py cassette …` for the database in `home`; what it says it moved."""
    line = [sys.executable, str(RUN), "cassette", direction, str(folder), "--home", str(home), "--json"]
    done = subprocess.run(line, env=clean_environment(), cwd=home.parent, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    moved: dict[str, Any] = json.loads(done.stdout)
    assert moved["problems"] == []
    return moved


def test_asked_twice_the_cache_answers(start: Starting, upstream: Upstream, exchanges: list[Recorded]) -> None:
    proxy = start("cache")
    first = play(proxy, exchanges)
    asked = len(upstream.seen())
    second = play(proxy, exchanges)
    proxy.stop()
    unkept = 0
    for exchange, once, again in zip(exchanges, first, second, strict=True):
        assert (once.status, again.status) == (exchange.status, exchange.status), exchange.id
        if again.outcome == "hit":
            assert same(once.body, again.body), exchange.id
            continue
        unkept += 1
        assert again.outcome in ("pass", "miss"), (exchange.id, again.outcome)
        assert again.headers.get("x-wiretape-reason"), f"{exchange.id}: nobody says why it is not cached"
        assert again.body == exchange.response_body, exchange.id
    assert len(upstream.seen()) - asked == unkept
    assert unkept < len(exchanges) / 10


def same(once: bytes, again: bytes) -> bool:
    """Whether two answers are equal byte for byte or, where vectors were written anew, as JSON of float32 numbers."""
    return once == again or float32(json.loads(once)) == float32(json.loads(again))


def float32(value: Any) -> Any:
    """A JSON value with its numbers as precise as a vector stores them."""
    if isinstance(value, dict):
        return {name: float32(member) for name, member in value.items()}
    if isinstance(value, list):
        return [float32(item) for item in value]
    return float(np.float32(value)) if isinstance(value, float) else value
