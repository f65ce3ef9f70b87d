"""A copy of an answer while it arrives: whoever waits for it reads along, live, from its start."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from cache import Chunk

_AHEAD = 32
"""So many pieces of an answer that is not kept may wait for its readers."""


class UpstreamError(Exception):
    """The provider could not be reached, or its answer broke off; the text is fit for the client."""


class Tape:
    """One answer of a provider, as far as it has come.

    `status`, `reason` and `headers` are set once `head` is done; `chunks` grow until `ended` is
    set. `failure` is why the answer is not whole. Bodies are kept as the client shall get them.
    """

    def __init__(self, limit: int) -> None:
        self.status = 0
        self.reason = ""
        self.headers: list[tuple[str, str]] = []
        self.chunks: list[bytes] = []
        self.timing: list[Chunk] = []
        self.size = 0
        self.overflowed = False
        self.failure: UpstreamError | None = None
        self.finished = asyncio.Event()
        self.ended = asyncio.Event()
        self.started = time.perf_counter()
        self.readers = 0
        self.abandoned: Callable[[], None] = lambda: None
        self.stop: Callable[[], object] = lambda: None
        self.completed = False
        self.delimited = True
        """Whether the answer itself tells where it ends, rather than the end of its connection."""
        self._reached = 0
        self._room = asyncio.Event()
        self._head: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: set[asyncio.Future[None]] = set()
        self._limit = limit

    # what the side that reads from the provider does

    def begin(self, status: int, reason: str, headers: list[tuple[str, str]]) -> None:
        """The answer's head has come."""
        self.status, self.reason, self.headers = status, reason, headers
        if not self._head.done():
            self._head.set_result(None)

    def add(self, chunk: bytes) -> None:
        """The next piece of the body has come."""
        if not chunk:
            return
        self.size += len(chunk)
        self.overflowed = self.overflowed or self.size > self._limit
        self.chunks.append(chunk)
        if not self.overflowed:
            self.timing.append(Chunk(int((time.perf_counter() - self.started) * 1e6), len(chunk)))
        self._wake()

    async def room(self) -> None:
        """Wait, if this answer is too long to be kept, until a reader has seen nearly all there is of it."""
        while self.overflowed and self.readers and len(self.chunks) - self._reached > _AHEAD:
            self._room.clear()
            await self._room.wait()

    def finish(self, failure: UpstreamError | None = None) -> None:
        """Nothing more will come from the provider; the answer may still be on its way to the store."""
        self.failure = failure
        if not self._head.done():
            if failure is None:
                failure = UpstreamError("the provider sent no answer")
            self._head.set_exception(failure)
            self._head.exception()  # nobody has to be listening
        self.finished.set()

    def complete(self) -> None:
        """Stop reading from the provider: whoever calls this knows that the answer is whole as it stands."""
        self.completed = True
        self.stop()

    def end(self) -> None:
        """All is done, the store included: readers may see the end."""
        self.ended.set()
        self._wake()

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    # what readers do

    async def head(self) -> None:
        """Wait for status and headers; raises UpstreamError."""
        await asyncio.shield(self._head)

    async def piece(self, position: int) -> bytes | None:
        """The chunk at `position`, waiting for it; None at the end. Raises UpstreamError where it broke off."""
        self._reached = max(self._reached, position)
        self._room.set()
        while position >= len(self.chunks):
            if self.ended.is_set():
                if self.failure is not None:
                    raise self.failure
                return None
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            await waiting
        chunk = self.chunks[position]
        if self.overflowed and self.readers == 1:
            self.chunks[position] = b""  # too large to be kept: let go of what the only reader has seen
        return chunk

    def whole(self) -> None:
        """A reader wants all of it at once: nothing has to wait for that reader to catch up."""
        self._reached = sys.maxsize
        self._room.set()

    async def body(self) -> bytes:
        """The whole body; raises UpstreamError if it broke off."""
        self.whole()
        await self.ended.wait()
        if self.failure is not None:
            raise self.failure
        return b"".join(self.chunks)

    def join(self) -> None:
        """One more client reads along."""
        self.readers += 1

    def leave(self) -> None:
        """A client is gone. When it was the last, whoever made the tape may want to bound the reading."""
        self.readers -= 1
        self._room.set()
        if self.readers == 0 and not self.finished.is_set():
            self.abandoned()
