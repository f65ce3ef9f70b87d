"""Requests no client library would send, and a watch over the proxies that get them."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.wire.asking import Got, got
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE, Reachable

HOST = "api.openai.com"
CHAT = "/v1/chat/completions"
CRASHED = re.compile(r"Traceback|Addon error|exception was never retrieved|Error in")


@contextlib.contextmanager
def staying_calm(*proxies: Proxy) -> Iterator[None]:
    """Whatever is sent meanwhile, no proxy crashes, and each still answers afterwards."""
    begun = [len(proxy.log) for proxy in proxies]
    yield
    for proxy, since in zip(proxies, begun, strict=True):
        assert not [line for line in proxy.log[since:] if CRASHED.search(line)], "\n".join(proxy.log[since:])
        with socket.create_connection((proxy.host, proxy.port), PATIENCE) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 ")


def send(
    proxy: Reachable, body: bytes, *, method: str = "POST", target: str = CHAT, host: str = HOST, **headers: str
) -> Got:
    """One request with exactly this body; `_` in header names stands for `-`."""
    given = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    with proxy.connection(host) as connection:
        connection.request(method, target, body, given)
        return got(connection.getresponse())


def raw(proxy: Reachable, data: bytes, host: str = HOST, context: ssl.SSLContext | None = None) -> bytes:
    """These bytes in a tunnel to `host`, and all that comes back."""
    with proxy.tunnel(host, context=context) as connection:
        connection.sendall(data)
        return read(connection)


def plain(proxy: Reachable, data: bytes) -> bytes:
    """These bytes to the proxy itself, and all that comes back."""
    with socket.create_connection((proxy.host, proxy.port), PATIENCE) as connection:
        connection.sendall(data)
        return read(connection)


def read(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    answer = b""
    try:
        while piece := connection.recv(1 << 16):
            answer += piece
    except (ConnectionResetError, ssl.SSLError):
        return answer
    return answer


def head(method: str = "POST", target: str = CHAT, *lines: str, host: str = HOST) -> bytes:
    """The head of an HTTP/1.1 request after which the connection closes."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", ""]).encode(
        "latin-1"
    )


def said(text: str, inner: str = "") -> bytes:
    """A chat request as JSON text, with more members behind."""
    content = json.dumps(text)
    return f'{{"model": "m", "messages": [{{"role": "user", "content": {content}}}]{inner}}}'.encode()


def memory(proxy: Proxy) -> int:
    """The largest resident size the proxy has had, in MiB."""
    status = Path(f"/proc/{proxy.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024  # type: ignore[index]
