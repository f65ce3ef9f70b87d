"""A scripted provider on a real socket: plain HTTP/1.1, TLS for any name, and CONNECT, all on one port."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from tests.wire.answers import answer
from tests.wire.answers.answer import Answer
from tests.wire.behaviours import Behaviour, Sending, answering
from tests.wire.certificates import Authority, Kind
from tests.wire.requests import Reader, Request

PATIENCE = 20.0
"""Seconds after which waiting for something that should have come long ago fails."""

Match = str | Callable[[Request], bool]
"""A piece of the target or the body, or a question to the request."""


class Upstream:
    """Answers every provider's API deterministically, remembers what it was asked, and misbehaves on request.

    Without a script each request gets what `answers` says: what its protocol's path calls for, stamped
    with a serial number that is never given twice, so that two answers can always be told apart.
    """

    def __init__(
        self,
        authority: Authority | None = None,
        kind: Kind = "good",
        answers: Callable[[Request], Answer] = answer,
    ) -> None:
        self.authority = authority or Authority()
        self._answers = answers
        self._tls = self.authority.context(kind)
        self._changed = threading.Condition()
        self._scripts: list[tuple[Match, Behaviour, list[int]]] = []
        self._seen: list[Request] = []
        self._sent: list[Sending] = []
        self._open: set[socket.socket] = set()
        self._connections = 0
        self._listener: socket.socket | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """`host:port` to connect to."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the port of last time if there was one."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection: whoever comes now is refused."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Unreachable for the length of a `with` block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def script(self, match: Match, behaviour: Behaviour, times: int = 1_000_000) -> None:
        """Answer the next `times` requests that match with `behaviour`; the newest script goes first."""
        with self._changed:
            self._scripts.insert(0, (match, behaviour, [times]))

    def seen(self, match: Match = "") -> list[Request]:
        """The requests so far that match, oldest first."""
        with self._changed:
            return [request for request in self._seen if _matches(match, request)]

    def sent(self, match: Match = "") -> list[Sending]:
        """How the requests so far that match were answered, oldest first; may still be under way."""
        with self._changed:
            return [sending for sending in self._sent if _matches(match, sending.request)]

    @property
    def connections(self) -> int:
        """How many TCP connections were ever accepted."""
        with self._changed:
            return self._connections

    def wait_for(self, count: int, match: Match = "") -> list[Request]:
        """Block until `count` matching requests have come; raises TimeoutError after `PATIENCE`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count(match) >= count, PATIENCE):
                raise TimeoutError(f"{self._count(match)} of {count} requests matching {match!r} came")
        return self.seen(match)

    def _count(self, match: Match) -> int:
        return sum(_matches(match, request) for request in self._seen)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                self._connections += 1
                number = self._connections
                self._open.add(connection)
            threading.Thread(target=self._converse, args=(connection, number), daemon=True).start()

    def _converse(self, connection: socket.socket, number: int) -> None:
        """Serve one connection to its end; a client that goes away or refuses our certificate is no error."""
        current = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            current = self._secure(current)
            reader = Reader(current, number)
            while (request := reader.next()) is not None:
                if request.method == "CONNECT":
                    current.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    current = self._secure(current)
                    reader = Reader(current, number)
                elif not self._respond(current, request):
                    return
        except (OSError, ssl.SSLError):
            return
        finally:
            with self._changed:
                self._open.discard(connection)
            current.close()

    def _secure(self, connection: socket.socket) -> socket.socket:
        """Speak TLS if the client does, which its first byte tells."""
        first = connection.recv(1, socket.MSG_PEEK)
        if first != b"\x16":
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True)
        with self._changed:
            self._open.discard(connection)
            self._open.add(secured)
        return secured

    def _respond(self, connection: socket.socket, request: Request) -> bool:
        """Answer one request; whether the connection may be used again."""
        with self._changed:
            self._seen.append(request)
            request.serial = len(self._seen)
            behaviour = self._behaviour(request)
            sending = Sending(connection, request, self._answers(request))
            self._sent.append(sending)
            self._changed.notify_all()
        try:
            behaviour(sending)
        finally:
            sending.finished = time.monotonic()
            sending.done.set()
        return sending.reusable

    def _behaviour(self, request: Request) -> Behaviour:
        for match, behaviour, left in self._scripts:
            if left[0] and _matches(match, request):
                left[0] -= 1
                return behaviour
        return answering


def _matches(match: Match, request: Request) -> bool:
    if callable(match):
        return match(request)
    return match in request.target or match.encode() in request.body
