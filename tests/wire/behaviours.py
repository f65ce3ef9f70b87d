"""How the scripted upstream may answer: well, slowly, on the test's word, encoded, cut, or wrongly."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import brotli

from tests.wire.answers.answer import Answer
from tests.wire.requests import Request

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PATIENCE = 20.0
"""Seconds a behaviour waits for the test's word before it gives the connection up."""

Coding = Literal["gzip", "br", "zstd"]

CODINGS: dict[Coding, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (gzip.compress, gzip.decompress),
    "br": (brotli.compress, brotli.decompress),
    "zstd": (zstd.compress, zstd.decompress),
}
"""How each content coding is done and undone."""

Framing = Literal["length", "chunked", "close"]
Ending = Literal["reset", "ragged", "close"]
"""A TCP reset; a TCP close without TLS' goodbye; a close with it."""


@dataclass(slots=True)
class Sending:
    """One answer under way: what is sent, when, and whether the client was still there.

    `sends` holds (monotonic seconds just after the bytes were handed to the kernel, body bytes).
    """

    connection: socket.socket
    request: Request
    answer: Answer
    sends: list[tuple[float, bytes]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    client_gone: threading.Event = field(default_factory=threading.Event)
    finished: float = 0.0
    reusable: bool = True
    framing: Framing = "length"

    @property
    def body(self) -> bytes:
        """The body bytes sent so far, without their framing."""
        return b"".join(piece for _, piece in self.sends)

    def head(self, framing: Framing, length: int | None = None, extra: Sequence[tuple[str, str]] = ()) -> None:
        """Send the status line and headers; `extra` ones come last."""
        self.framing = framing
        headers = [*self.answer.headers, *extra]
        if framing == "length":
            headers.append(("content-length", str(length)))
        elif framing == "chunked":
            headers.append(("transfer-encoding", "chunked"))
        else:
            headers.append(("connection", "close"))
            self.reusable = False
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._write(f"HTTP/1.1 {self.answer.status} {self.answer.reason}\r\n{lines}\r\n".encode("latin-1"))

    def send(self, piece: bytes) -> None:
        """Send one piece of the body, framed as the head promised."""
        if not piece:
            return
        framed = b"%x\r\n%b\r\n" % (len(piece), piece) if self.framing == "chunked" else piece
        if self.request.method != "HEAD":
            self._write(framed)
        self.sends.append((time.monotonic(), piece))

    def end(self) -> None:
        """Finish the body properly."""
        if self.framing == "chunked":
            self._write(b"0\r\n\r\n")

    def break_off(self, ending: Ending) -> None:
        """End the connection here and now."""
        self.reusable = False
        if ending == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif ending == "close" and isinstance(self.connection, ssl.SSLSocket):
            self.connection.settimeout(1.0)
            with contextlib.suppress(OSError):
                self.connection.unwrap()
        self.connection.close()

    def wait(self, event: threading.Event) -> None:
        """Wait for the test, noticing meanwhile if the client leaves; raises TimeoutError after `PATIENCE`."""
        deadline = time.monotonic() + PATIENCE
        while not event.wait(0.01):
            self._look()
            if time.monotonic() > deadline:
                raise TimeoutError("the test never gave its word")

    def _look(self) -> None:
        """Set `client_gone` once the client has closed or reset the connection."""
        if self.client_gone.is_set():
            return
        self.connection.settimeout(0)
        try:
            if not self.connection.recv(1):
                self.client_gone.set()
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            self.client_gone.set()
        finally:
            with contextlib.suppress(OSError):
                self.connection.settimeout(None)

    def _write(self, data: bytes) -> None:
        try:
            self.connection.sendall(data)
        except OSError:
            self.client_gone.set()
            raise


Behaviour = Callable[[Sending], None]


class Gate:
    """Lets pieces through one by one, each on the test's word."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._allowed = 0
        self._opened: dict[int, threading.Event] = {}

    def allow(self, count: int = 1) -> None:
        """Let `count` more pieces out."""
        with self._changed:
            for number in range(self._allowed, self._allowed + count):
                self._event(number).set()
            self._allowed += count

    def open(self) -> None:
        """Let everything out from now on."""
        self.allow(10_000)

    def event(self, number: int) -> threading.Event:
        """What is set once piece `number` (from 0) may go."""
        with self._changed:
            return self._event(number)

    def read_in_step(self, response: http.client.HTTPResponse, sending: Sending) -> None:
        """Read an answer to its end, each piece before the next may leave; the first one may already."""
        for number, piece in enumerate(sending.answer.pieces):
            assert len(sending.sends) <= number + 1
            assert response.read(len(piece)) == piece
            self.allow()
        assert response.read() == b""

    def _event(self, number: int) -> threading.Event:
        return self._opened.setdefault(number, threading.Event())


def answering(sending: Sending) -> None:
    """The answer as its provider would send it: streams in chunks, the rest with a length."""
    pieces = sending.answer.pieces
    if sending.answer.streamed:
        sending.head("chunked")
    else:
        sending.head("length", sum(map(len, pieces)))
    for piece in pieces:
        sending.send(piece)
    sending.end()


def stalled(event: threading.Event, then: Behaviour = answering) -> Behaviour:
    """Say nothing at all until `event` is set."""

    def behave(sending: Sending) -> None:
        sending.wait(event)
        then(sending)

    return behave


def gated(gate: Gate) -> Behaviour:
    """Send the head at once and each piece only when the gate allows it."""

    def behave(sending: Sending) -> None:
        sending.head("chunked")
        for number, piece in enumerate(sending.answer.pieces):
            sending.wait(gate.event(number))
            sending.send(piece)
        sending.end()

    return behave


def cut(pieces: int, ending: Ending = "reset", framing: Framing = "chunked") -> Behaviour:
    """Send the head and the first `pieces` pieces, then break off.

    Framed by `close` and ended by `close`, nothing but the missing terminal event tells that
    this is not the whole answer.
    """

    def behave(sending: Sending) -> None:
        sending.head(framing, sum(map(len, sending.answer.pieces)))
        for piece in sending.answer.pieces[:pieces]:
            sending.send(piece)
        sending.break_off(ending)

    return behave


def giving(status: int, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> Behaviour:
    """Exactly this answer, JSON unless the headers say otherwise."""
    given = [(name.lower(), value) for name, value in headers]
    if not any(name == "content-type" for name, _ in given):
        given.insert(0, ("content-type", "application/json"))

    def behave(sending: Sending) -> None:
        sending.answer = Answer(status=status, headers=given, pieces=[body])
        answering(sending)

    return behave


def encoded(coding: Coding) -> Behaviour:
    """The usual answer compressed, whatever the client said it accepts."""
    compress, _ = CODINGS[coding]

    def behave(sending: Sending) -> None:
        body = compress(b"".join(sending.answer.pieces))
        sending.head("length", len(body), [("content-encoding", coding)])
        sending.send(body)

    return behave


def wrong_length(extra: int) -> Behaviour:
    """Promise `extra` bytes more than come (fewer if negative), then close."""

    def behave(sending: Sending) -> None:
        body = b"".join(sending.answer.pieces)
        sending.head("length", len(body) + extra, [("connection", "close")])
        sending.send(body)
        sending.break_off("close")

    return behave


def interrupted(pieces: int, event: bytes) -> Behaviour:
    """The first `pieces` pieces, then `event` (an error in the provider's words), then a proper end."""

    def behave(sending: Sending) -> None:
        sending.head("chunked")
        for piece in sending.answer.pieces[:pieces]:
            sending.send(piece)
        sending.send(event)
        sending.end()

    return behave


def until_close(sending: Sending) -> None:
    """The whole answer, its end marked by closing the connection only."""
    sending.head("close")
    for piece in sending.answer.pieces:
        sending.send(piece)
    sending.break_off("close")


def hanging_up(sending: Sending) -> None:
    """Close at once, without a single byte."""
    sending.break_off("ragged")


def huge(size: int, piece: bytes = b" " * (1 << 16)) -> Behaviour:
    """The answer followed by at least `size` bytes of blanks, which JSON and SSE readers skip."""

    def behave(sending: Sending) -> None:
        sending.head("chunked")
        for part in sending.answer.pieces:
            sending.send(part)
        for _ in range(-(-size // len(piece))):
            sending.send(piece)
        sending.end()

    return behave
