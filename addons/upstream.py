"""Our own client to the providers: it reads an answer to its end, whether or not a client still waits.

mitmproxy cuts the upstream connection when the client leaves, and cannot hand one answer to
several clients. A miss therefore goes out here, and onto a Tape.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import httpcore2
from httpcore2 import AsyncConnectionPool, AsyncNetworkBackend, AsyncNetworkStream

from addons.encodings import Decoder, EncodingError, decoder
from addons.tape import Tape, UpstreamError

log = logging.getLogger("wiretape.upstream")

HOP_BY_HOP = frozenset(
    {"connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"proxy-authenticate", "proxy-authorization"}
)
"""Headers that speak of one connection (RFC 9110 §7.6.1): never passed on, never stored."""

OURS = "x-wiretape-"
"""How all headers of our own begin."""

_QUOTED = re.compile(r"""(?:bytearray\()?\bb(['"]).*\1\)?""", re.DOTALL)

_DECODED_LIMIT = 1 << 30
"""No honest answer decodes to more bytes than this; a compression bomb does."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as it shall go to the provider. `target` is path and query as on the wire."""

    method: str
    scheme: str
    host: str
    port: int
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class _ConnectTo(AsyncNetworkBackend):
    """Connects to another address than the name says, like curl's --connect-to: TLS still wants the name."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._addresses = dict(addresses)

    async def connect_tcp(self, host: str, port: int, **options: Any) -> AsyncNetworkStream:  # type: ignore[override]
        address = self._addresses.get(f"{host}:{port}")
        if address is not None:
            host, _, number = address.rpartition(":")
            port = int(number)
        return await self._inner.connect_tcp(host, port, **options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """The public roots plus those in `ca_file` (PEM). Raises OSError or ssl.SSLError if it cannot be read."""
    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context


class Upstream:
    """Sends requests to providers over kept-alive connections, certificates always verified.

    Times are in seconds: `idle_timeout` is the longest silence of a provider, `linger_timeout`
    how long an answer is still read when no client waits for it. `reply_limit` is in bytes: a
    longer answer passes but is not kept.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None,
        connect_to: Mapping[str, str],
        connect_timeout: float,
        idle_timeout: float,
        linger_timeout: float,
        reply_limit: int,
    ) -> None:
        self._pool = AsyncConnectionPool(
            ssl_context=trust(ca_file),
            max_connections=None,
            max_keepalive_connections=64,
            keepalive_expiry=30.0,
            network_backend=_ConnectTo(connect_to),
        )
        self._timeouts = {"connect": connect_timeout, "read": idle_timeout, "write": idle_timeout, "pool": None}
        self._linger = linger_timeout
        self._limit = reply_limit
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, ask: Ask) -> Tape:
        """Put a request on its way; its answer appears on the tape that is returned.

        The maker of the request calls `Tape.end` once it has dealt with what `Tape.finished` tells.
        """
        tape = Tape(self._limit)
        task = asyncio.get_running_loop().create_task(self._carry(ask, tape), name=f"upstream {ask.host}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        tape.abandoned = lambda: self._bound(tape, task)
        tape.stop = task.cancel
        return tape

    def _bound(self, tape: Tape, task: asyncio.Task[None]) -> None:
        """The last client left: read on for the store, but not for ever and not for nothing."""

        def stop() -> None:
            if tape.readers == 0:
                task.cancel("no client waits for it")

        if tape.overflowed:
            stop()
        else:
            timer = asyncio.get_running_loop().call_later(self._linger, stop)
            task.add_done_callback(lambda _: timer.cancel())

    async def _carry(self, ask: Ask, tape: Tape) -> None:
        where = f"{ask.host}:{ask.port}"
        failure: UpstreamError | None = UpstreamError(f"the answer of {where} could not be read")
        try:
            await self._read(ask, tape)
            failure = None
        except (httpcore2.ConnectTimeout, httpcore2.ConnectError) as error:
            failure = UpstreamError(f"cannot connect to {where}: {_plain(error)}")
        except httpcore2.ReadTimeout:
            failure = UpstreamError(f"{where} was silent for {self._timeouts['read']:g} s")
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            failure = UpstreamError(f"the connection to {where} broke off: {_plain(error)}")
        except EncodingError as error:
            failure = UpstreamError(f"the answer of {where} cannot be read: {error}")
        except OSError as error:
            failure = UpstreamError(f"cannot reach {where}: {_plain(error)}")
        except asyncio.CancelledError as error:
            stopped = UpstreamError(f"reading the answer of {where} was stopped: {error or 'shutting down'}")
            failure = None if tape.completed else stopped
        finally:
            tape.finish(failure)

    async def _read(self, ask: Ask, tape: Tape) -> None:
        url = httpcore2.URL(
            scheme=ask.scheme.encode(),
            host=ask.host.encode(),
            port=ask.port,
            target=ask.target.encode("utf-8", "surrogateescape"),
        )
        request = httpcore2.Request(
            ask.method, url, headers=list(ask.headers), content=ask.body, extensions={"timeout": self._timeouts}
        )
        response = await self._pool.handle_async_request(request)
        try:
            headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in response.headers]
            unpacker, headers = _unpacking(ask.method, response.status, headers)
            # A compressed body tells its end as well.
            telling = {b"content-length", b"transfer-encoding", b"content-encoding"}
            told = not telling.isdisjoint(name.lower() for name, _ in response.headers)
            tape.delimited = told or ask.method == "HEAD" or response.status in (204, 304)
            reason = response.extensions.get("reason_phrase", b"").decode("latin-1")
            tape.begin(response.status, reason, headers)
            async for piece in response.aiter_stream():
                for decoded in unpacker.feed(piece):
                    tape.add(decoded)
                    if tape.overflowed:
                        await tape.room()
                if tape.overflowed and tape.readers == 0:
                    return  # too large to be kept, and nobody reads it any more
            unpacker.end()
        finally:
            await response.aclose()

    async def close(self, drain: float) -> None:
        """Let answers under way come to their end for up to `drain` seconds, then close everything."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain)
        if late := list(self._tasks):  # those that began meanwhile included
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=1)
        await self._pool.aclose()


def _unpacking(method: str, status: int, headers: list[tuple[str, str]]) -> tuple[Decoder, list[tuple[str, str]]]:
    """How to decode a body, and its headers once it is: we ask for plain bodies, but some encode all the same."""
    encoding = ",".join(value for name, value in headers if name.lower() == "content-encoding")
    if encoding.strip().lower() in ("", "identity") or method == "HEAD" or status in (204, 304):
        return decoder("", _DECODED_LIMIT), headers
    gone = ("content-encoding", "content-length")
    return decoder(encoding, _DECODED_LIMIT), [pair for pair in headers if pair[0].lower() not in gone]


def _plain(error: BaseException) -> str:
    """A driver's error in one short line."""
    # Drivers quote the bytes they stumbled over, among which a credential may be.
    text = " ".join(_QUOTED.sub("…", str(error)).split())
    return text[:200] or type(error).__name__


def forwarded(headers: Iterable[tuple[bytes, bytes]], authority: str, body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """A client's headers as they go to the provider with `body`: nothing of the connection, nothing of ours.

    The answer is asked for without content encoding, so that the tape can be read as it runs;
    unless the client signed that header (AWS Signature Version 4 names what it covers).
    """
    pairs = [(name, value, name.lower().decode("latin-1")) for name, value in headers]
    named = {
        token.strip().lower() for _, v, low in pairs if low == "connection" for token in v.decode("latin-1").split(",")
    }
    signed = any(low == "authorization" and b"accept-encoding" in value.lower() for _, value, low in pairs)
    kept = [(b"Host", authority.encode("latin-1"))]
    for name, value, low in pairs:
        if low in HOP_BY_HOP or low in named or low in ("host", "content-length", "expect") or low.startswith(OURS):
            continue
        if low != "accept-encoding" or signed:
            kept.append((name, value))
    if not signed:
        kept.append((b"Accept-Encoding", b"identity"))
    if body or any(low == "content-length" for _, _, low in pairs):
        kept.append((b"Content-Length", str(len(body)).encode()))
    return tuple(kept)
