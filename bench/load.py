"""A load generator that costs little: prepared requests on kept-alive TLS tunnels, one thread, no framework."""

from __future__ import annotations

import math
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from figures import Sample

HOST = "api.openai.com"
PATIENCE = 30.0
"""Seconds after which an answer will not come any more."""


class Broken(Exception):
    """An answer is not what it should be."""


def request(path: str, body: bytes) -> bytes:
    """A request as the OpenAI SDK for Python sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
        "Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.8.0\r\n"
        "X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.0\r\nX-Stainless-OS: Linux\r\n"
        "X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.13.0\r\n"
        "Authorization: Bearer sk-bench-0000000000000000000000000000\r\nX-Stainless-Async: false\r\n"
        f"x-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(frozen=True, slots=True)
class Contestant:
    """A proxy that listens on `port`, whose authority is `ca`; `target` is where its tunnels lead."""

    name: str
    pid: int
    port: int
    ca: Path
    target: str = f"{HOST}:443"


@dataclass(slots=True)
class Answer:
    """What has come of one answer so far."""

    head: bytes = b""
    data: bytearray = field(default_factory=bytearray)
    length: int | None = None

    def add(self, piece: bytes) -> bool:
        """Take in the next bytes; whether the answer is whole. A chunked body stays as it was sent."""
        self.data += piece
        if not self.head:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.head = bytes(self.data[:end])
            del self.data[: end + 4]
            self.length = _length(self.head)
        if self.length is None:
            return self.data.endswith(b"0\r\n\r\n")
        return len(self.data) >= self.length


def processor_time(pid: int) -> float:
    """Seconds a process has spent on a processor, all its threads together; nan where the system does not tell."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.is_dir():
        return math.nan
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def _length(head: bytes) -> int | None:
    """What Content-Length says; None for a body in chunks."""
    low = head.lower()
    start = low.find(b"\r\ncontent-length:")
    if start < 0:
        return None
    return int(low[start + 17 :].partition(b"\r\n")[0])


class Tunnel:
    """One connection through a proxy to `target`, for TLS with `HOST`.

    `sent`, `first` and `done` are when the latest request went out, and its answer began and ended.
    """

    def __init__(self, port: int, ca: Path, target: str) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            piece = raw.recv(1)
            answer += piece
            if not piece:
                raise Broken(f"no tunnel: {answer!r}")
        self.socket = ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname=HOST)
        self.socket.setblocking(False)
        self.answer = Answer()
        self.sent = self.first = self.done = 0.0

    def send(self, message: bytes) -> None:
        """Send a request: it is small enough to go out in one piece."""
        self.answer = Answer()
        self.first = 0.0
        self.sent = time.perf_counter()
        self.socket.sendall(message)

    def receive(self) -> bool:
        """Read what has come; whether the answer is whole."""
        while True:
            try:
                piece = self.socket.recv(65536)
            except ssl.SSLWantReadError:
                return False
            if not piece:
                raise Broken(f"the proxy closed the connection after {bytes(self.answer.data[:200])!r}")
            whole = self.answer.add(piece)
            if not self.first and self.answer.data:
                self.first = time.perf_counter()
            if whole:
                self.done = time.perf_counter()
                return True


class Load:
    """Some tunnels through one proxy, each asking again as soon as it is answered."""

    def __init__(self, proxy: Contestant, connections: int, expected: bytes) -> None:
        self._pid = proxy.pid
        self._expected = expected
        self._selector = selectors.DefaultSelector()
        self._tunnels = [Tunnel(proxy.port, proxy.ca, proxy.target) for _ in range(connections)]
        for tunnel in self._tunnels:
            self._selector.register(tunnel.socket, selectors.EVENT_READ, tunnel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for tunnel in self._tunnels:
            tunnel.socket.close()

    def heads(self) -> Sequence[bytes]:
        """The head of each tunnel's latest answer."""
        return [tunnel.answer.head for tunnel in self._tunnels]

    def run(self, seconds: float, message: Callable[[], bytes]) -> Sample:
        """Ask for so long, then wait for the answers under way. Raises Broken for a wrong answer."""
        worked = processor_time(self._pid)
        begun = time.perf_counter()
        until = begun + seconds
        sample = Sample()
        waiting = len(self._tunnels)
        for tunnel in self._tunnels:
            tunnel.send(message())
        while waiting:
            ready = self._selector.select(PATIENCE)
            if not ready:
                raise Broken("no answer came")
            for key, _ in ready:
                tunnel = key.data
                if not tunnel.receive():
                    continue
                self._check(tunnel.answer)
                sample.whole.append(tunnel.done - tunnel.sent)
                sample.first.append(tunnel.first - tunnel.sent)
                if tunnel.done < until:
                    tunnel.send(message())
                else:
                    waiting -= 1
        sample.elapsed = time.perf_counter() - begun
        sample.worked = processor_time(self._pid) - worked
        return sample

    def _check(self, answer: Answer) -> None:
        if not answer.head.startswith(b"HTTP/1.1 200 ") or self._expected not in answer.data:
            raise Broken(f"a wrong answer: {answer.head!r} {bytes(answer.data[:200])!r}")
