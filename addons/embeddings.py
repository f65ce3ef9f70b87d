"""Embeddings item by item: what is known comes from the store, each unknown input is asked for once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mitmproxy import http

from addons import answers, exchange
from addons.asking import ask_of
from addons.exchange import Exchange, Outcome
from addons.frames import Frames
from addons.items import Job, item_keys, unique, vectors_of
from addons.protocols.base import Answers, BadReply, Batch, Tokens
from addons.rules import OFF_LOOP, Rules, aside, stale
from addons.secrets import holds
from addons.tape import Tape, UpstreamError
from addons.upstream import Upstream
from cache import Store, StoreError, Vector

log = logging.getLogger("wiretape")

_MANY = 256
"""From so many inputs on, hashing and parsing leave the event loop."""

_AT_ONCE = 4
"""So many requests of one split batch are under way together."""


class _Refused(Exception):
    """The provider answered a request of ours with an error, which is the client's to see."""

    def __init__(self, tape: Tape, body: bytes) -> None:
        super().__init__(tape.status)
        self.tape = tape
        self.body = body


class Embeddings:
    """Serves requests that hold many independent inputs."""

    def __init__(self, store: Store, upstream: Upstream, rules: Rules) -> None:
        self._store = store
        self._upstream = upstream
        self._rules = rules
        self._frames = Frames(store)
        self._asking: dict[tuple[str, str], asyncio.Future[Vector]] = {}

    async def request(self, flow: http.HTTPFlow) -> None:
        found = exchange.of(flow)
        if found is None or not found.key or flow.response is not None or found.mode == "record":
            return
        job = await self._job(found)
        if job is None or await self._is_recorded(found):
            return  # Replies takes it as a whole
        await self._look_up(job)
        known = len(job.vectors)
        missing = job.missing()
        if missing and found.mode == "replay":
            return
        if missing and found.directives.only_if_cached:
            return
        if not missing:
            found.outcome, found.source = Outcome.HIT, "cache"
            found.created = min(vector.created for vector in job.vectors.values())
        else:
            found.outcome = Outcome.PARTIAL if known else Outcome.MISS
            found.source = "upstream"
        try:
            flow.response = await self._answer(flow.request, job, missing)
        except _Refused as refused:
            found.outcome, found.unstored, found.stored = Outcome.MISS, f"status {refused.tape.status}", False
            found.billed = job.billed
            headers = answers.passed_on(refused.tape.headers)
            flow.response = answers.response(
                refused.tape.status, _unsized(headers), refused.body, reason=refused.tape.reason
            )
        except (UpstreamError, BadReply) as error:
            found.outcome, found.reason, found.stored = Outcome.CUT, str(error), False
            found.billed = job.billed
            body = found.protocol.error(502, f"wiretape: {error}", "upstream_failed")
            flow.response = answers.refusal(502, body, retry=isinstance(error, UpstreamError))
        found.tokens = Tokens(input=job.billed)

    async def _job(self, found: Exchange) -> Job | None:
        """The request taken apart; None if it cannot be, or must match exactly as a whole."""
        call, protocol = found.call, found.protocol
        if call is None or not isinstance(protocol, Batch) or found.level == "exact":
            return None
        items = protocol.split(call)
        if not items:
            return None
        if len(items) < _MANY and len(call.raw) <= OFF_LOOP:
            space, keys = item_keys(found, call, protocol, items, self._rules.namespace)
        else:
            space, keys = await asyncio.to_thread(item_keys, found, call, protocol, items, self._rules.namespace)
        return Job(found, call, protocol, items, space, keys)

    async def _is_recorded(self, found: Exchange) -> bool:
        try:
            return await self._store.count(found.tenant, found.key, found.form) > 0
        except StoreError:
            return False  # the next look into the store says what is wrong

    async def _look_up(self, job: Job) -> None:
        """Take from the store what is known and fresh enough."""
        found = job.found
        found.forwarded = "miss"
        if found.directives.no_cache and found.mode != "replay":
            found.forwarded = "request"
            return
        # May be stored and gone by the time the store has looked.
        job.under_way = self._under_way(found.tenant, job.keys)
        try:
            known = await self._store.get_vectors(found.tenant, list(dict.fromkeys(job.keys)))
        except StoreError as error:
            log.warning("the store cannot be read: %s", error)
            found.forwarded, found.unstored = "bypass", "store failed"
            if found.mode == "replay":
                found.reason = f"the store cannot be read: {error}"
            return
        for key, vector in known.items():
            why = "" if found.mode == "replay" else stale(vector.created, vector.version, found.directives, self._rules)
            if why:
                found.forwarded = why
            else:
                job.vectors[key] = vector
        sizes = {vector.dimensions for vector in job.vectors.values()}
        if len(sizes) > 1:
            job.vectors = {}  # the model changed its size in between: all of it is asked anew
        job.dimensions = sizes.pop() if len(sizes) == 1 else 0

    def _under_way(self, tenant: str, keys: Iterable[str]) -> dict[str, asyncio.Future[Vector]]:
        """Vectors that other requests are getting now."""
        return {key: self._asking[tenant, key] for key in keys if (tenant, key) in self._asking}

    async def _answer(self, request: http.Request, job: Job, missing: Mapping[str, Any]) -> http.Response:
        verbatim = await self._ask_all(request, job, missing) if missing else None
        found = job.found
        kept = [job.vectors[key] for key in job.keys]
        found.saved = Tokens(input=job.saved)
        if verbatim is not None:
            return answers.response(200, _unsized(job.headers), verbatim)
        if missing and not job.fresh:
            found.outcome, found.source = Outcome.HIT, "shared"
        elif missing:
            found.billed = job.billed
        total = sum(vector.tokens for vector in kept)
        frame = job.rest if job.rest is not None else await self._frames.get(found, job.space)
        merged = Answers([vector.values for vector in kept], job.model or kept[0].model, total, frame)
        if len(kept) < _MANY:
            body = job.protocol.join(job.call, merged)
        else:
            body = await asyncio.to_thread(job.protocol.join, job.call, merged)
        return answers.response(200, _unsized(job.headers) or [("content-type", "application/json")], body)

    async def _ask_all(self, request: http.Request, job: Job, missing: Mapping[str, Any]) -> bytes | None:
        """Get every missing vector, from requests under way or from the provider.

        Returns the provider's own reply if it answers the client's request as it stands.
        """
        tenant = job.found.tenant
        known = {} if job.found.forwarded == "request" else job.under_way | self._under_way(tenant, missing)
        theirs = {key: future for key, future in known.items() if key in missing}
        ours = {key: item for key, item in missing.items() if key not in theirs}
        verbatim = await self._ask(request, job, ours) if ours else None
        late = await self._wait_for(job, theirs)
        if late:
            await self._ask(request, job, {key: missing[key] for key in late})
        return verbatim

    async def _wait_for(self, job: Job, theirs: Mapping[str, asyncio.Future[Vector]]) -> list[str]:
        """Vectors that other requests are getting; returns the keys of those that did not come."""
        if not theirs:
            return []
        await asyncio.wait(theirs.values(), timeout=self._rules.follow_timeout)
        late = []
        for key, future in theirs.items():
            if future.done() and not future.cancelled():
                job.agree(future.result().dimensions)
                job.vectors[key] = future.result()
            else:
                late.append(key)
        return late

    async def _ask(self, request: http.Request, job: Job, wanted: Mapping[str, Any]) -> bytes | None:
        """Ask the provider for `wanted` in requests it accepts, and keep what comes."""
        tenant = job.found.tenant
        size = job.found.provider.max_batch or job.protocol.max_items
        keys = list(wanted)
        as_it_stands = keys == job.keys and len(keys) <= size
        loop = asyncio.get_running_loop()
        futures = {key: loop.create_future() for key in keys}
        for key, future in futures.items():
            self._asking.setdefault((tenant, key), future)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def part(chosen: Sequence[str]) -> bytes:
            async with gate:
                body = None if as_it_stands else job.protocol.ask(job.call, [wanted[key] for key in chosen])
                return await self._part(request, job, {key: wanted[key] for key in chosen}, body)

        try:
            parts = [part(keys[start : start + size]) for start in range(0, len(keys), size)]
            results = await asyncio.gather(*parts, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            return results[0] if as_it_stands and isinstance(results[0], bytes) else None
        finally:
            for key, future in futures.items():
                if self._asking.get((tenant, key)) is future:
                    del self._asking[tenant, key]
                if key in job.fresh:
                    future.set_result(job.vectors[key])
                else:
                    future.cancel()

    async def _part(self, request: http.Request, job: Job, wanted: Mapping[str, Any], body: bytes | None) -> bytes:
        """One request to the provider: its vectors into the job and the store, its body returned."""
        tape = self._upstream.send(ask_of(request, job.found, body))
        tape.join()  # it is read to its end, however long
        try:
            await tape.head()
            tape.whole()
            await tape.finished.wait()
            tape.end()
            reply = await tape.body()
        finally:
            tape.leave()
        if not 200 <= tape.status < 300:
            raise _Refused(tape, reply)
        if len(wanted) < _MANY and len(reply) <= OFF_LOOP:
            read, vectors = self._read(job, wanted, reply)
        else:
            read, vectors = await asyncio.to_thread(self._read, job, wanted, reply)
        job.agree(vectors[0].dimensions)
        if tape.overflowed:
            job.found.unstored = "too large"
        else:
            await self._keep(job, vectors, read.rest, reply)
        job.vectors.update((vector.key, vector) for vector in vectors)
        job.fresh.update(wanted)
        job.model, job.rest, job.headers = read.model, read.rest, answers.passed_on(tape.headers)
        if read.tokens is not None:
            job.billed = (job.billed or 0) + read.tokens
        return reply

    def _read(self, job: Job, wanted: Mapping[str, Any], reply: bytes) -> tuple[Answers, list[Vector]]:
        read = job.protocol.answers(reply, len(wanted))
        return read, vectors_of(job.found, list(wanted.items()), read, self._rules.version)

    async def _keep(self, job: Job, vectors: Sequence[Vector], frame: Any, reply: bytes) -> None:
        found = job.found
        if found.mode == "read":
            return
        forbidden = found.directives.no_store and found.mode != "record"
        asked = 0 if found.call is None else len(found.call.raw)
        if forbidden or await aside(len(reply) + asked, _tells, found, reply):
            found.unstored = "no-store" if forbidden else "credential in reply"
            return
        try:
            await self._store.put_vectors(vectors)
            await self._frames.keep(found, job.space, frame, self._rules.version)
            found.stored = True
        except StoreError as error:
            found.unstored = "store failed"
            log.warning("vectors could not be stored: %s", error)

    async def learn(self, found: Exchange, reply: bytes) -> None:
        """Keep the vectors of an embedding reply that was recorded as a whole."""
        job = await self._job(found)
        if job is None:
            return
        try:
            read = await asyncio.to_thread(job.protocol.answers, reply, len(job.items))
        except BadReply as error:
            log.warning("a recorded embedding reply holds no usable vectors: %s", error)
            return
        pairs = list(zip(job.keys, job.items, strict=True))
        vectors = await asyncio.to_thread(vectors_of, found, pairs, read, self._rules.version)
        await self._keep(job, unique(vectors), read.rest, reply)


def _tells(found: Exchange, reply: bytes) -> bool:
    """Whether a reply repeats a credential of its request."""
    return holds(reply, found.unkeepable)


def _unsized(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() != "content-length"]
