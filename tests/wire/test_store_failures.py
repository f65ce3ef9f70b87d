"""A store that fails never breaks traffic and never gives a wrong answer; in replay mode it refuses."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.wire.asking import ask, chat, embed
from tests.wire.conftest import Starting
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.upstream import Upstream

Stopped = Callable[[], contextlib.AbstractContextManager[None]]

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
def stopped(postgres: PostgresServer) -> Stopped:
    """Postgres gone for the length of a `with` block."""

    @contextlib.contextmanager
    def without() -> Iterator[None]:
        postgres.stop()
        try:
            yield
        finally:
            postgres.start()

    return without


def until_hit(running: Proxy, salt: str) -> None:
    """Ask new questions, each twice, until one is kept: the store comes back by itself, but in its own time."""
    deadline = time.monotonic() + PATIENCE
    for number in itertools.count():
        asked = chat(f"{salt} again {number}")
        answers = [ask(running, asked) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 200]
        if answers[1].outcome == "hit":
            return
        assert time.monotonic() < deadline, "the store did not come back"


def test_postgres_may_go_and_come_back(
    stopped: Stopped,
    postgres: PostgresServer,
    proxy: Starting,
    upstream: Upstream,
    salt: str,
) -> None:
    running = proxy(store=postgres.fresh_database())
    before = [ask(running, asked).body for asked in (chat(salt), chat(salt, stream=True))]
    embedded = ask(running, embed(salt)).body
    with stopped():
        for _ in range(2):
            for asked in (chat(salt), chat(salt, stream=True), embed(salt)):
                answer = ask(running, asked)
                assert (answer.status, answer.outcome) == (200, "miss")
                assert answer.headers["cache-status"].startswith("wiretape; fwd=")
                assert "stored" not in answer.headers["cache-status"]
    until_hit(running, salt)
    assert ask(running, embed(salt)).outcome == "hit"
    assert json.loads(ask(running, embed(salt)).body)["data"] == json.loads(embedded)["data"]
    again = [ask(running, asked) for asked in (chat(salt), chat(salt, stream=True))]
    assert [answer.outcome for answer in again] == ["hit", "hit"]
    assert [answer.body for answer in again] == before
    assert any("store" in line for line in running.log), "nobody was told"


def test_replay_without_its_database_refuses_and_lets_nothing_out(
    stopped: Stopped,
    postgres: PostgresServer,
    proxy: Starting,
    upstream: Upstream,
    salt: str,
) -> None:
    running = proxy("record", store=postgres.fresh_database())
    recorded = ask(running, chat(salt))
    assert ask(running, embed(salt)).status == 200
    running.restart(mode="replay", on_exhausted="last")
    asked = len(upstream.seen())
    with stopped():
        for request in (chat(salt), chat(salt, stream=True), embed(salt), embed(salt, f"{salt} 2")):
            refused = ask(running, request)
            assert (refused.status, refused.outcome) == (424, "not-recorded")
            assert refused.headers["x-should-retry"] == "false"
            assert "store" in json.loads(refused.body)["error"]["message"]
    deadline = time.monotonic() + PATIENCE
    while (answer := ask(running, chat(salt))).status == 424:
        assert time.monotonic() < deadline, "the store did not come back"
    assert answer.body == recorded.body
    assert len(upstream.seen()) == asked, "something left the machine"


def limit_files(pid: int, size: int) -> None:
    """No file the process writes may grow beyond `size` bytes from now on: for a program, a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def works_but_keeps_nothing(running: Proxy, salt: str) -> None:
    """Fresh answers still pass, and say that they were not kept."""
    begun = len(running.log)
    for asked in (chat(salt), chat(salt, stream=True), embed(salt)):
        first = ask(running, asked)
        assert (first.status, first.outcome) == (200, "miss")
        assert ask(running, asked).outcome == "miss"
    running.wait_for("could not be stored", since=begun)


def intact(home: Path) -> bool:
    with closing(sqlite3.connect(home / "wiretape.db")) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_full_disk_is_no_reason_to_stop(small_disk: Path, proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy(home=small_disk / "home")
    kept = ask(running, chat(f"{salt} kept"))
    filling = small_disk / "filling"
    with filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    works_but_keeps_nothing(running, f"{salt} full")
    assert ask(running, chat(f"{salt} kept")).body == kept.body
    filling.unlink()
    until_hit(running, salt)
    assert ask(running, chat(f"{salt} kept")).outcome == "hit"
    assert running.stop() == 0
    assert intact(running.home)


def test_a_limit_on_the_size_of_files_is_no_reason_to_stop(proxy: Starting, salt: str) -> None:
    running = proxy()
    kept = ask(running, chat(f"{salt} kept"))
    limit_files(running.pid, 1)
    works_but_keeps_nothing(running, f"{salt} full")
    limit_files(running.pid, resource.RLIM_INFINITY)
    until_hit(running, salt)
    assert ask(running, chat(f"{salt} kept")).body == kept.body
    assert running.stop() == 0
    assert intact(running.home)


def damage(home: Path, column: str) -> int:
    """Change one byte in the middle of a column of every reply; how many there were."""
    with closing(sqlite3.connect(home / "wiretape.db", timeout=10)) as connection, connection:
        rows = connection.execute(f"SELECT rowid, {column} FROM replies WHERE form != 'frame'").fetchall()
        for rowid, blob in rows:
            changed = bytearray(blob)
            changed[len(changed) // 2] ^= 1
            connection.execute(f"UPDATE replies SET {column} = ? WHERE rowid = ?", (bytes(changed), rowid))
    return len(rows)


@STREAMS
@pytest.mark.parametrize("column", ["body", "headers", "request"])
def test_a_damaged_entry_is_asked_for_again(
    column: str, stream: bool, proxy: Starting, upstream: Upstream, salt: str
) -> None:
    running = proxy()
    first = ask(running, chat(salt, stream=stream))
    assert damage(running.home, column) == 1
    second = ask(running, chat(salt, stream=stream))
    assert (second.status, second.outcome) == (200, "miss")
    assert second.body == upstream.sent(salt)[1].body != first.body
    third = ask(running, chat(salt, stream=stream))
    assert (third.outcome, third.body) == ("hit", second.body)
    assert any("damaged" in line for line in running.log)


def test_a_damaged_vector_is_asked_for_again(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy()
    first = json.loads(ask(running, embed(salt)).body)
    with closing(sqlite3.connect(running.home / "wiretape.db", timeout=10)) as connection, connection:
        assert connection.execute("UPDATE vectors SET \"values\" = x'00112233445566'").rowcount == 1
    second = ask(running, embed(salt))
    assert (second.status, second.outcome) == (200, "miss")
    assert json.loads(second.body)["data"] == first["data"]
    assert ask(running, embed(salt)).outcome == "hit"


@STREAMS
def test_replay_refuses_a_damaged_entry(stream: bool, proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy("record")
    ask(running, chat(salt, stream=stream))
    assert damage(running.home, "body") == 1
    running.restart(mode="replay")
    refused = ask(running, chat(salt, stream=stream))
    assert refused.status == 424
    assert "damaged" in json.loads(refused.body)["error"]["message"]
    assert len(upstream.seen(salt)) == 1


def test_a_database_that_is_overwritten_with_rubbish(proxy: Starting, salt: str) -> None:
    running = proxy()
    ask(running, chat(salt))
    path = running.home / "wiretape.db"
    path.write_bytes(b"rubbish" * 4096)
    for asked in (chat(salt), chat(salt, stream=True), embed(salt)):
        assert ask(running, asked).status == 200


def test_two_proxies_share_one_file(proxy: Starting, upstream: Upstream, salt: str) -> None:
    one = proxy()
    two = proxy(store=f"sqlite:///{one.home / 'wiretape.db'}")
    for number in range(6):
        first, second = (one, two) if number % 2 else (two, one)
        asked = [chat, embed][number // 2 % 2](f"{salt} {number}")
        assert (ask(first, asked).outcome, ask(second, asked).outcome) == ("miss", "hit")
    assert len(upstream.seen(salt)) == 6
