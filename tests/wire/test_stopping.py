"""The end of a proxy: asked to stop it finishes what is in flight, killed it loses nothing it had stored."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.wire import behaviours
from tests.wire.asking import Ask, Got, ask, chat, embed, got
from tests.wire.behaviours import Gate
from tests.wire.conftest import Starting
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.upstream import Upstream

ROUNDS = 5


class Client(threading.Thread):
    """Asks one new question after the other until the proxy is gone; `got` has every answer that came whole."""

    def __init__(self, proxy: Proxy, name: str) -> None:
        super().__init__(daemon=True)
        self._proxy = proxy
        self._salt = name
        self.got: list[tuple[Ask, Got]] = []
        self.some = threading.Event()

    def run(self) -> None:
        try:
            with self._proxy.connection("api.openai.com") as connection:
                while True:
                    number = len(self.got)
                    text = f"{self._salt} {number}"
                    asked = [chat(text), chat(text, stream=True), embed(text)][number % 3]
                    self.got.append((asked, got(asked.on(connection))))
                    if number >= 8:
                        self.some.set()
        except (OSError, http.client.HTTPException):
            return


def integrity(home: Path) -> str:
    with closing(sqlite3.connect(home / "wiretape.db")) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def test_kill_9_under_load_loses_nothing_that_was_stored(proxy: Starting, upstream: Upstream, salt: str) -> None:
    """A client sees an answer's end only once it is stored, so whoever got it whole gets it again."""
    running = proxy()
    for turn in range(ROUNDS):
        clients = [Client(running, f"{salt} {turn} {number}") for number in range(4)]
        for client in clients:
            client.start()
        assert clients[turn % 4].some.wait(PATIENCE)
        running.kill()
        for client in clients:
            client.join(PATIENCE)
            assert not client.is_alive()
        assert integrity(running.home) == "ok"
        running.start()
        for asked, before in [pair for client in clients for pair in client.got]:
            again = ask(running, asked)
            assert again.outcome == "hit", f"lost: {asked}"
            if asked.name == "openai-embed":
                assert json.loads(again.body)["data"] == json.loads(before.body)["data"]
            else:
                assert again.body == before.body


def tell(running: Proxy, number: signal.Signals) -> None:
    """Send a signal and wait until the proxy has taken it."""
    begun = len(running.log)
    os.kill(running.pid, number)
    running.wait_for("stopping", since=begun)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_is_finished_and_kept(
    number: signal.Signals, proxy: Starting, upstream: Upstream, salt: str
) -> None:
    running = proxy()
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    gate.allow()
    asked, plain = chat(salt, stream=True), chat(f"plain {salt}")
    word = threading.Event()
    upstream.script(f"plain {salt}", behaviours.stalled(word))
    with running.connection(asked.host) as connection, running.connection(plain.host) as other:
        response = asked.on(connection)
        plain.send(other)
        upstream.wait_for(2, salt)
        tell(running, number)
        with pytest.raises(OSError, match=r"refused|reset"):
            ask(running, chat(salt))
        gate.open()
        word.set()
        body = response.read()
        assert body == upstream.sent(salt)[0].answer.body
        assert got(other.getresponse()).status == 200
        assert running.wait() == 0
    running.start()
    assert (ask(running, asked).outcome, ask(running, plain).outcome) == ("hit", "hit")


def test_an_answer_that_nobody_waits_for_is_finished_too(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy()
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    gate.allow()
    asked = chat(salt, stream=True)
    with running.connection(asked.host) as connection:
        asked.on(connection).read(1)
    tell(running, signal.SIGTERM)
    gate.open()
    assert running.wait() == 0
    running.start()
    assert ask(running, asked).outcome == "hit"


def test_waiting_for_what_is_in_flight_has_an_end(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy(drain_timeout=0.2)
    gate = Gate()
    upstream.script(salt, behaviours.gated(gate))
    gate.allow()
    asked = chat(salt, stream=True)
    with running.connection(asked.host) as connection:
        response = asked.on(connection)
        tell(running, signal.SIGTERM)
        assert running.wait() == 0
        with pytest.raises((http.client.HTTPException, OSError)):
            response.read()
    gate.open()
    running.start()
    assert ask(running, asked).outcome == "miss", "a part of an answer was kept"


def test_an_idle_connection_does_not_hold_up_the_end(proxy: Starting, salt: str) -> None:
    running = proxy(drain_timeout="1h")
    with running.connection("api.openai.com") as connection:
        assert got(chat(salt).on(connection)).status == 200
        tell(running, signal.SIGTERM)
        assert running.wait() == 0


def test_a_second_signal_does_not_wait(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy(drain_timeout="1h")
    upstream.script(salt, behaviours.stalled(threading.Event()))
    asked = chat(salt)
    with running.connection(asked.host) as connection:
        asked.send(connection)
        upstream.wait_for(1, salt)
        tell(running, signal.SIGINT)
        os.kill(running.pid, signal.SIGINT)
        assert running.wait() == 130
