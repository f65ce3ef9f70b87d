"""What happened to each exchange, told: response headers, one line in the log, the books."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from mitmproxy import http

from addons import answers, exchange
from addons.exchange import Exchange, Outcome
from addons.protocols.base import Tokens
from cache import Store, StoreError, Tally

log = logging.getLogger("wiretape")

FLUSH_EVERY = 5.0
"""Seconds between two writes of the books."""


def cache_status(found: Exchange) -> str:
    """The `Cache-Status` field of RFC 9211."""
    if found.outcome is Outcome.HIT and found.source == "shared":
        return "wiretape; fwd=miss; collapsed"
    if found.outcome in (Outcome.HIT, Outcome.LOCAL):
        return "wiretape; hit"
    detail = f'; detail="{_token(found.reason)}"' if found.reason else ""
    if found.outcome in (Outcome.REFUSED, Outcome.NOT_RECORDED):
        return f"wiretape{detail}"
    if found.outcome is Outcome.PASS:
        return f"wiretape; fwd=bypass{detail}"
    kind = "partial" if found.outcome is Outcome.PARTIAL else found.forwarded or "miss"
    return f"wiretape; fwd={kind}" + ("; stored" if found.stored else "") + detail


def _token(text: str) -> str:
    """Text as it may stand in a header."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)[:200]


def headers_of(found: Exchange) -> list[tuple[str, str]]:
    """Our response headers for an exchange."""
    fields = [("Cache-Status", cache_status(found)), ("x-wiretape-outcome", str(found.outcome))]
    if found.key:
        fields.append(("x-wiretape-key", found.key[:16]))
    if found.source:
        fields.append(("x-wiretape-source", found.source))
    if why := found.reason or (found.unstored if found.outcome is not Outcome.HIT else ""):
        fields.append(("x-wiretape-reason", _token(why)))
    if found.billed is not None:
        fields.append(("x-wiretape-billed-tokens", str(found.billed)))
    if created := found.reply.created if found.reply is not None else found.created:
        fields.append(("Age", str(max(0, int(time.time() - created)))))
    return fields


class Trace:
    """Last in the list. `report` gets each exchange when it is over."""

    def __init__(self, store: Store, report: Callable[[Exchange, float, int], None]) -> None:
        self._store = store
        self._report = report
        self._books: dict[tuple[str, str, str, str, str, str], Tally] = {}
        self._task: asyncio.Task[None] | None = None
        self._open: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.totals: dict[str, int] = defaultdict(int)

    def running(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._flush_often(), name="write the books")

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if exchange.of(flow) is not None:
            self._open.add(flow.id)
            self._idle.clear()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        found = exchange.of(flow)
        if found is None:
            if flow.response is not None and not flow.response.raw_content:
                flow.response.stream = True
            return
        assert flow.response is not None
        if found.outcome is Outcome.PASS:
            flow.response.stream = True
        theirs = [pair for pair in flow.response.headers.fields if not answers.is_ours(pair[0].decode("latin-1"))]
        ours = [(name.encode(), value.encode("latin-1")) for name, value in headers_of(found)]
        flow.response.headers.fields = (*theirs, *ours)

    def response(self, flow: http.HTTPFlow) -> None:
        self._over(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        found = exchange.of(flow)
        if found is not None and found.keeping is not None and not found.keeping.done():
            # The client left, at the end of a stream as a rule. What it asked for is read on, then told.
            found.keeping.add_done_callback(lambda _: self._broken(flow, found))
        elif found is not None:
            self._broken(flow, found)

    def _broken(self, flow: http.HTTPFlow, found: Exchange) -> None:
        """An exchange is over before its client got all of it: only the provider's fault makes it a cut."""
        if found.reported:
            return
        if found.outcome is Outcome.PASS or (
            found.outcome in (Outcome.MISS, Outcome.PARTIAL) and found.unstored == "cut"
        ):
            found.outcome = Outcome.CUT
            found.reason = found.reason or (flow.error.msg if flow.error else "")
        self._over(flow)

    async def idle(self) -> None:
        """Wait until no exchange is open."""
        await self._idle.wait()

    def _over(self, flow: http.HTTPFlow) -> None:
        self._open.discard(flow.id)
        if not self._open:
            self._idle.set()
        found = exchange.of(flow)
        if found is None or found.reported:
            return
        found.reported = True
        if found.reply is not None and found.outcome is Outcome.HIT:
            usage = found.reply.usage
            found.saved = Tokens(usage.input_tokens, usage.output_tokens)
            found.saved_ms = found.reply.upstream_ms
        elapsed = time.perf_counter() - found.started
        self._report(found, elapsed, flow.response.status_code if flow.response else 0)
        self.totals[str(found.outcome)] += 1
        self.totals["saved_tokens"] += (found.saved.input or 0) + (found.saved.output or 0)
        self.totals["saved_ms"] += found.saved_ms
        self._write(found)

    def _write(self, found: Exchange) -> None:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        note = found.reason if found.outcome is Outcome.PASS else found.unstored
        note = note.partition(": ")[0][:60]  # what follows differs from one request to the next
        slot = (day, found.tenant, found.provider.name, found.model[:200], str(found.outcome), note)
        old = self._books.get(slot) or Tally(*slot)
        fresh = found.outcome in (Outcome.MISS, Outcome.PARTIAL, Outcome.CUT)
        self._books[slot] = replace(
            old,
            count=old.count + 1,
            input_tokens=old.input_tokens + (found.tokens.input or 0 if fresh else 0),
            output_tokens=old.output_tokens + (found.tokens.output or 0 if fresh else 0),
            saved_input_tokens=old.saved_input_tokens + (found.saved.input or 0),
            saved_output_tokens=old.saved_output_tokens + (found.saved.output or 0),
            saved_ms=old.saved_ms + found.saved_ms,
        )

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Write the books; what could not be written stays for the next time."""
        books, self._books = self._books, {}
        if not books:
            return
        try:
            await self._store.add(list(books.values()))
        except StoreError as error:
            log.warning("the books could not be written: %s", error)
            for slot, tally in books.items():
                later = self._books.get(slot)
                self._books[slot] = tally if later is None else _sum(tally, later)

    async def done(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self.flush()


def _sum(first: Tally, second: Tally) -> Tally:
    return replace(
        first,
        count=first.count + second.count,
        input_tokens=first.input_tokens + second.input_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        saved_input_tokens=first.saved_input_tokens + second.saved_input_tokens,
        saved_output_tokens=first.saved_output_tokens + second.saved_output_tokens,
        saved_ms=first.saved_ms + second.saved_ms,
    )
