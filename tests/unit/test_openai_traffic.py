"""The OpenAI-shaped protocols against recorded traffic, where it lies beside the project."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import urlsplit

import orjson
import pytest

from addons.protocols import PROTOCOLS
from addons.protocols.base import PLAIN, Batch, Call, Protocol
from addons.protocols.events import SseReader
from tests import traffic

ROUTES = {
    "/chat/completions": "openai_chat",
    "/responses": "openai_responses",
    "/embeddings": "openai_embeddings",
}

pytestmark = pytest.mark.skipif(not traffic.present(), reason=traffic.MISSING)


@cache
def exchanges() -> list[tuple[str, Protocol, Call, bytes]]:
    """Id, protocol, call and reply body of every 2xx exchange in one of these protocols."""
    found = []
    for row in traffic.load():
        path = urlsplit(row.url).path
        name = next((name for end, name in ROUTES.items() if path.endswith(end)), None)
        if name is None or not row.ok or "/content-type/" in path:
            continue
        raw = row.request_body
        call = Call(method="POST", path=path, raw=raw, body=orjson.loads(raw) if raw else None)
        found.append((row.id, PROTOCOLS[name], call, row.response_body))
    return found


def streams() -> list[tuple[str, Protocol, Call, bytes]]:
    return [row for row in exchanges() if row[1].form(row[2]) != PLAIN and row[3][:1] != b"{"]


def test_every_reply_is_whole_and_tells_its_tokens() -> None:
    assert len(exchanges()) > 150
    for name, protocol, call, reply in exchanges():
        form = protocol.form(call)
        ending = protocol.ending(form, reply)
        assert ending.complete, (name, ending)
        assert ending.reason in ("stop", "length"), (name, ending)
        tokens = protocol.tokens(form, reply)
        if b'"usage":null' in reply and b'"queued"' in reply:
            continue  # the ticket of a background response
        assert tokens.input, name
        if not isinstance(protocol, Batch):
            assert tokens.output, name
            assert (tokens.cached or 0) <= tokens.input, name


def test_no_stream_is_whole_before_its_last_event() -> None:
    assert len(streams()) > 30
    for name, protocol, call, reply in streams():
        form = protocol.form(call)
        edges = [match.end() for match in re.finditer(rb"\n\n", reply)]
        last = next(
            index
            for index, (start, end) in enumerate(zip([0, *edges], edges, strict=False))
            for event in SseReader().feed(reply[start:end])
            if event.data == "[DONE]" or orjson.loads(event.data).get("type") == "response.completed"
        )
        early = edges[:last]
        for edge in {*early[:5], *early[-5:], *early[::25], 0}:
            assert not protocol.ending(form, reply[:edge]).complete, (name, edge)
        assert protocol.ending(form, reply[: edges[last]]).complete, name
        for place in range(early[-1], edges[last] - 20, max(1, (edges[last] - early[-1]) // 20)):
            assert not protocol.ending(form, reply[:place]).complete, (name, place)


def test_no_json_is_whole_before_its_end() -> None:
    for name, protocol, call, reply in exchanges():
        if reply[:1] == b"{":
            for place in (0, 1, len(reply) // 2, len(reply) - 1):
                assert not protocol.ending(protocol.form(call), reply[:place]).complete, (name, place)


def test_ids_settle_in_real_conversations() -> None:
    changed = 0
    for name, protocol, call, _ in exchanges():
        before = orjson.dumps(call.body)
        settled = protocol.settle(call.body)
        assert orjson.dumps(call.body) == before, name
        changed += settled is not call.body
    assert changed > 20


def test_embeddings_come_back_as_they_were() -> None:
    batches = [row for row in exchanges() if isinstance(row[1], Batch)]
    assert batches
    for name, protocol, call, reply in batches:
        assert isinstance(protocol, Batch)
        items = protocol.split(call)
        assert items, name
        assert orjson.loads(protocol.ask(call, items)) == call.body, name
        assert protocol.join(call, protocol.answers(reply, len(items))) == reply, name
