"""Whole replies: looked up, asked for once however many want them, kept when they are complete."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mitmproxy import http

from addons import answers, exchange, live
from addons.admission import Admission
from addons.asking import ask_of
from addons.exchange import Exchange, Outcome
from addons.inflight import Inflight, Slot
from addons.protocols.base import PLAIN, Call, Reason
from addons.rules import Rules, aside, stale
from addons.runs import Runs
from addons.secrets import document
from addons.tape import Tape, UpstreamError
from addons.upstream import Upstream
from cache import Reply, Store, StoreError, Usage

log = logging.getLogger("wiretape")

_WHOLE = 1 << 20
"""An answer of a known length up to this many bytes is taken whole; all others flow as they come."""

_AFTER_END = 2.0
"""A provider that has sent its terminal event and then nothing for so many seconds has finished."""


class Replies:
    """Answers from the store, or sends the request out and keeps what comes back."""

    def __init__(self, store: Store, upstream: Upstream, rules: Rules, admission: Admission, runs: Runs) -> None:
        self.recorded: list[Callable[[Exchange, bytes], Awaitable[None]]] = []
        """Told of each reply that record mode has stored."""
        self._store = store
        self._upstream = upstream
        self._rules = rules
        self._admission = admission
        self._runs = runs
        self._inflight = Inflight()
        self._keeping: set[asyncio.Task[None]] = set()
        self._recording = asyncio.Lock()

    async def request(self, flow: http.HTTPFlow) -> None:
        found = exchange.of(flow)
        if found is None or not found.key or flow.response is not None:
            return
        slot = (found.tenant, found.key, found.form)
        under_way = self._inflight.find(slot)  # may be stored and gone by the time the store has looked
        if found.mode != "record" and await self._answered(flow, found, slot):
            return
        if found.mode == "replay":
            return  # Offline says why
        if found.directives.only_if_cached and found.mode != "record":
            found.outcome, found.reason = Outcome.REFUSED, "only-if-cached"
            text = "wiretape: nothing stored for this request, and it says Cache-Control: only-if-cached"
            flow.response = answers.refusal(504, found.protocol.error(504, text, "only_if_cached"))
            return
        shares = found.mode != "record" and found.forwarded != "request"
        if shares and await self._followed(flow, found, self._inflight.find(slot) or under_way):
            return
        await self._ask(flow, found, slot, shares)

    async def _answered(self, flow: http.HTTPFlow, found: Exchange, slot: Slot) -> bool:
        """Answer from the store, if it has what may be served."""
        found.forwarded = "request" if found.mode != "replay" and found.directives.unshared else "miss"
        try:
            reply = await (self._recorded(slot, found) if found.mode == "replay" else self._store.get(*slot))
        except StoreError as error:
            log.warning("the store cannot be read: %s", error)
            found.forwarded, found.unstored = "bypass", "store failed"
            if found.mode == "replay":
                found.reason = f"the store cannot be read: {error}"
            return False
        if reply is None or not (found.mode == "replay" or self._admission.serves(reply, found.level)):
            return False
        if found.mode != "replay" and (why := stale(reply.created, reply.version, found.directives, self._rules)):
            found.forwarded = why
            return False
        found.outcome, found.source, found.reply = Outcome.HIT, "cache", reply
        flow.response = answers.from_reply(reply)
        return True

    async def _recorded(self, slot: Slot, found: Exchange) -> Reply | None:
        """The recording whose turn it is in this run."""
        place = self._runs.place(slot)
        reply = await self._store.get(*slot, ordinal=place)
        if reply is not None or place == 0:
            return reply
        if self._rules.on_exhausted == "last":
            return await self._store.get(*slot)
        count = await self._store.count(*slot)
        if self._rules.on_exhausted == "cycle" and count:
            return await self._store.get(*slot, ordinal=place % count)
        if count:
            found.reason = f"exhausted: recorded {count} times, asked for {place + 1} times"
        return None

    async def _followed(self, flow: http.HTTPFlow, found: Exchange, tape: Tape | None) -> bool:
        """Read along with an equal request that is under way; False if there is none or it fails."""
        if tape is None or tape.overflowed or tape.failure is not None:
            return False
        tape.join()
        try:
            await asyncio.wait_for(tape.head(), self._rules.follow_timeout)
            if not 200 <= tape.status < 300:
                raise UpstreamError("the request it would have shared was refused")
            await self._serve(flow, found, tape)
        except (UpstreamError, TimeoutError):
            tape.leave()
            return False
        found.outcome, found.source = Outcome.HIT, "shared"
        return True

    async def _ask(self, flow: http.HTTPFlow, found: Exchange, slot: Slot, shares: bool) -> None:
        """Send the request out, and answer with what comes back."""
        found.outcome, found.source = Outcome.MISS, "upstream"
        found.forwarded = found.forwarded or "request"
        place = self._runs.place(slot) if found.mode == "record" else 0
        tape = self._upstream.send(ask_of(flow.request, found))
        tape.join()
        if shares:
            self._inflight.enter(slot, tape)
        keeping = asyncio.get_running_loop().create_task(self._keep(found, slot, place, tape), name="keep a reply")
        found.keeping = keeping
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)
        try:
            await tape.head()
            await self._serve(flow, found, tape)
        except UpstreamError as error:
            tape.leave()
            found.outcome = Outcome.CUT
            found.reason = found.unstored = str(error)
            flow.response = answers.refusal(
                502, found.protocol.error(502, f"wiretape: {error}", "upstream_failed"), retry=True
            )

    async def _serve(self, flow: http.HTTPFlow, found: Exchange, tape: Tape) -> None:
        """Answer with a tape: whole when it is short and no stream, else as it runs."""
        length = next((value for name, value in tape.headers if name.lower() == "content-length"), "")
        short = found.form == PLAIN and length.isdigit() and int(length) <= _WHOLE
        if short or tape.status in (204, 304) or flow.request.method == "HEAD":
            body = await tape.body()
            tape.leave()
            headers = answers.passed_on(tape.headers)
            flow.response = answers.response(tape.status, headers, body, reason=tape.reason, with_length=False)
            return
        flow.response = answers.live_response(flow.request, tape.status, tape.reason, tape.headers)
        live.stream(flow, _Reading(tape))

    async def _keep(self, found: Exchange, slot: Slot, place: int, tape: Tape) -> None:
        """When an answer is all there: store it if it may be stored, then let its readers see the end."""
        try:
            await self._finished(found, tape)
            body = b"".join(tape.chunks) if not tape.overflowed else b""
            asked = 0 if found.call is None else len(found.call.raw)
            ending = await aside(len(body) + asked, self._judge, found, tape, body)
            if not found.unstored and found.mode in ("cache", "record"):
                await self._store_reply(found, slot, place, tape, body, ending)
        finally:
            self._inflight.leave(slot, tape)
            tape.end()

    async def _finished(self, found: Exchange, tape: Tape) -> None:
        """Wait for the end of an answer: that of the connection, or a terminal event with nothing behind it."""
        size = judged = 0
        while found.form != PLAIN and not tape.overflowed:
            with suppress(TimeoutError):
                await asyncio.wait_for(tape.finished.wait(), _AFTER_END)
            if tape.finished.is_set():
                return
            if tape.size == size != judged:
                judged = size
                ending = await aside(size, found.protocol.ending, found.form, b"".join(tape.chunks))
                if ending.complete and tape.size == size:
                    tape.complete()
            size = tape.size
        await tape.finished.wait()

    def _judge(self, found: Exchange, tape: Tape, body: bytes) -> Reason:
        """How an answer ended; notes on the exchange what it cost, and why it is not kept."""
        found.unstored, ending = self._admission.refuses(found, tape, body)
        if tape.failure is None and not tape.overflowed:
            found.tokens = found.protocol.tokens(found.form, body)
        return ending.reason

    async def _store_reply(
        self, found: Exchange, slot: Slot, place: int, tape: Tape, body: bytes, ending: Reason
    ) -> None:
        assert found.call is not None
        try:
            size = len(body) + len(found.call.raw)
            reply = await aside(size, self._reply, found, found.call, tape, body, ending, place)
            if found.mode != "record":
                await self._store.put(reply)
                found.stored = True
                return
            async with self._recording:  # the next has to know whether this one took the place of older runs
                await self._store.put(reply, replace=not self._runs.has_stored(slot))
                self._runs.stored(slot)
            found.stored = True
            for tell in self.recorded:
                await tell(found, body)
        except StoreError as error:
            found.unstored = "store failed"
            log.warning("an answer could not be stored: %s", error)

    def _reply(self, found: Exchange, call: Call, tape: Tape, body: bytes, ending: str, place: int) -> Reply:
        tokens, now = found.tokens, time.time()
        return Reply(
            tenant=found.tenant,
            key=found.key,
            form=found.form,
            ordinal=place,
            provider=found.provider.name,
            protocol=found.protocol.name,
            host=found.host,
            operation=found.operation,
            model=found.model,
            request=document(call, found.protocol, f"{found.scheme}://{found.host}", found.secrets),
            status=tape.status,
            headers=answers.kept(tape.headers),
            body=body,
            chunks=tuple(tape.timing) if found.form != "plain" else (),
            ending=ending,
            usage=Usage(tokens.input, tokens.output, tokens.cached, tokens.reasoning),
            upstream_ms=int((time.perf_counter() - tape.started) * 1000),
            version=self._rules.version,
            created=now,
            last_used=now,
        )

    async def drain(self) -> None:
        """Wait until every finished answer is stored."""
        if self._keeping:
            await asyncio.wait(self._keeping)


class _Reading:
    """One client's place on a tape."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._position = 0

    async def next(self) -> bytes | None:
        piece = await self._tape.piece(self._position)
        self._position += 1
        return piece

    def close(self) -> None:
        self._tape.leave()
