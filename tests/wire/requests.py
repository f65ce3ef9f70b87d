"""What the scripted upstream was asked: one request as it came over the wire."""

from __future__ import annotations

import json
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

LARGEST_HEAD = 1 << 20


@dataclass(slots=True)
class Request:
    """One request. `serial` counts from 1 over the upstream's whole life, `connection` likewise for connections."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    tls: bool
    came: float = field(default_factory=time.monotonic)
    serial: int = 0

    @property
    def path(self) -> str:
        """The path, percent-decoded, without the query."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def host(self) -> str:
        """The Host header without a port."""
        return self.header("host").partition(":")[0]

    @property
    def json(self) -> Any:
        """The body as JSON, or an empty object if it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return {}

    def header(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        return next((value for key, value in self.headers if key == name.lower()), "")


class Reader:
    """Takes requests off one connection."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self._connection = connection
        self._number = number
        self._rest = b""
        self._ended = False

    def next(self) -> Request | None:
        """The next whole request, or None when the client is done or talks nonsense."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        if self._rest:
            parser.receive_data(self._rest)
        head: h11.Request | None = None
        body = bytearray()
        try:
            while True:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    if parser.they_are_waiting_for_100_continue:
                        self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    parser.receive_data(self._connection.recv(1 << 16))
                elif isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return None
        except h11.RemoteProtocolError:
            return None
        assert head is not None
        self._rest = parser.trailing_data[0]
        return Request(
            method=head.method.decode("ascii"),
            target=head.target.decode("ascii"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers],
            body=bytes(body),
            connection=self._number,
            tls=isinstance(self._connection, ssl.SSLSocket),
        )
