"""Answers that reach the client piece by piece although no upstream connection of mitmproxy brings them.

mitmproxy sends a response that an addon made in one piece. Here an HTTP stream of its own asks us,
between two pieces, for the next one: a hook like any other, so nothing blocks while we wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mitmproxy import ctx, http
from mitmproxy.addons.next_layer import NextLayer
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.flow import Error, Flow
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import ClientTLSLayer
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)

from addons.tape import UpstreamError

_METADATA = "wiretape.live"

_TOGETHER = 16384
"""Bytes that fit one TLS record (RFC 8446 §5.1)."""


class Pieces(Protocol):
    """Where the body of a live answer comes from."""

    async def next(self) -> bytes | None:
        """The next piece, None at the end; raises UpstreamError where it breaks off."""

    def close(self) -> None:
        """The client got all of it, or left."""


@dataclass(slots=True)
class Pull:
    """One request for the next piece on behalf of a client connection (its id), and its result."""

    pieces: Pieces
    client: str
    piece: bytes | None = None
    failure: str = "the answer could not be read"
    """Empty once it is known better: no end must look like one that is none."""


@dataclass
class NextPieceHook(commands.StartHook):
    """A live answer waits for its next piece."""

    pull: Pull


@dataclass
class PendingHook(commands.StartHook):
    """The addons have begun with a hook, and one of them waits for something."""

    task: asyncio.Task[None]


_AT_ONCE = (HttpRequestHeadersHook, HttpRequestHook, HttpResponseHeadersHook, HttpResponseHook, NextPieceHook)
"""The hooks of every exchange."""


class Live:
    """Listens to the two hooks of ours: the next piece is fetched once the client has taken in what came before."""

    def __init__(self, proxyserver: Proxyserver) -> None:
        self._proxyserver = proxyserver

    async def pending(self, task: asyncio.Task[None]) -> None:
        await task

    async def next_piece(self, pull: Pull) -> None:
        connection = self._proxyserver.connections.get(pull.client)
        if connection is not None:
            await connection.drain_writers()
        try:
            pull.piece = await pull.pieces.next()
            pull.failure = ""
        except UpstreamError as error:
            pull.failure = str(error)


def stream(flow: http.HTTPFlow, pieces: Pieces) -> None:
    """Let the body of `flow.response`, which has none of its own, come from `pieces`."""
    flow.metadata[_METADATA] = pieces


async def _carry_out(hook: commands.StartHook) -> None:
    """What mitmproxy does with a hook that a layer yields."""
    await ctx.master.addons.handle_lifecycle(hook)
    (data,) = hook.args()
    if isinstance(data, Flow):
        await data.wait_for_resume()


class LiveStream(HttpStream):
    """An HTTP stream that can send such an answer, and does not wait for addons that do not wait.

    A hook costs mitmproxy a task and a turn of the event loop. Here the addons are called at once,
    in a task that starts eagerly; only one that has to wait for something goes the usual way.
    """

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        handling = super()._handle_event(event)
        result: Any = None
        while True:
            try:
                command = handling.send(result)
            except StopIteration:
                return
            if isinstance(command, _AT_ONCE):
                task = asyncio.Task(_carry_out(command), loop=ctx.master.event_loop, eager_start=True)
                if task.done():
                    result = task.result()
                    continue
                command = PendingHook(task)
            result = yield command

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        if request and self.flow.response is not None:
            return False  # it is answered already, and mitmproxy cannot stream a request that is
        return (yield from super().check_body_size(request))

    def state_consume_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestData) and self.flow.response is not None:
            return  # nobody will read it
        yield from super().state_consume_request_body(event)

    def send_response(self, already_streamed: bool = False) -> layer.CommandGenerator[None]:
        pieces = self.flow.metadata.pop(_METADATA, None)
        if pieces is None or already_streamed:
            yield from super().send_response(already_streamed)
            return
        try:
            whole = yield from self._send_pieces(pieces)
        finally:
            pieces.close()
        if whole:
            yield from super().send_response(already_streamed=True)

    def _send_pieces(self, pieces: Pieces) -> layer.CommandGenerator[bool]:
        """Send head and body; whether the client got all of it."""
        response = self.flow.response
        assert response is not None
        yield SendHttp(ResponseHeaders(self.stream_id, response, end_stream=False), self.context.client)
        while True:
            pull = Pull(pieces, self.context.client.id)
            yield NextPieceHook(pull)
            if (yield from self.check_killed(True)):
                return False
            if pull.failure:
                self.flow.error = Error(pull.failure)
                yield HttpErrorHook(self.flow)
                yield SendHttp(
                    ResponseProtocolError(self.stream_id, pull.failure, ErrorCode.GENERIC_SERVER_ERROR),
                    self.context.client,
                )
                self.flow.live = False
                self.client_state = self.server_state = self.state_errored
                return False
            if pull.piece is None:
                return True
            yield SendHttp(ResponseData(self.stream_id, pull.piece), self.context.client)


class LiveHttpLayer(HttpLayer):
    """mitmproxy's HTTP layer, with streams of ours, and sending what belongs together in one piece."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Head and body of a short answer as one TLS record and one write, where mitmproxy makes two of each."""
        handling = super()._handle_event(event)
        held: commands.SendData | None = None
        reply: Any = None
        while True:
            try:
                command = handling.send(reply)
            except StopIteration:
                break
            reply = None
            if isinstance(command, commands.SendData) and command.connection is self.context.client:
                if held is not None and len(held.data) + len(command.data) <= _TOGETHER:
                    held.data += command.data
                    continue
                command, held = held, command
                if command is None:
                    continue
            elif held is not None:
                yield held
                held = None
            reply = yield command
        if held is not None:
            yield held

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        self.streams[stream_id] = LiveStream(self.context.fork(), stream_id)
        yield from self.event_to_child(self.streams[stream_id], events.Start())


class LiveNextLayer(NextLayer):
    """mitmproxy's choice of the next layer, with HTTP spoken by ours.

    `opens` says whether connections to a host and port are decrypted. All others are blind tunnels.
    """

    def __init__(self, opens: Callable[[str, int], bool]) -> None:
        self._opens = opens

    def _ignore_connection(self, context: Context, data_client: bytes, data_server: bytes) -> bool:
        # mitmproxy also believes the server name and the Host header, which a client may choose freely.
        address = context.server.address
        return address is not None and not self._opens(address[0], address[1])

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        super().next_layer(nextlayer)
        chosen: Any = nextlayer.layer
        if isinstance(chosen, ClientTLSLayer):
            chosen = chosen.child_layer
        if type(chosen) is HttpLayer:
            # Made anew it would stand twice in the context's stack of layers; ours adds no state.
            chosen.__class__ = LiveHttpLayer
