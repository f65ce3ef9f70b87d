"""Anthropic, Gemini, Cohere and Bedrock against recorded traffic, where it lies beside the project."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from addons.protocols import PROTOCOLS
from addons.protocols.aws_events import FrameReader
from addons.protocols.base import PLAIN, Batch, Call, Protocol
from addons.protocols.bedrock import AWS_EVENTS
from tests import traffic

HOSTS = ("api.anthropic.com", "googleapis.com", "api.cohere.com", "bedrock-runtime.us-east-1.amazonaws.com")
ENDS = {
    "/messages": "anthropic_messages",
    "/count_tokens": "anthropic_count_tokens",
    "enerateContent": "gemini_generate",
    ":countTokens": "gemini_count_tokens",
    ":batchEmbedContents": "gemini_batch_embed",
    ":embedContent": "gemini_embed",
    "/v2/embed": "cohere_embed",
    "/v2/chat": "cohere_chat",
    "/v2/rerank": "cohere_rerank",
    "/converse": "bedrock_converse",
    "/converse-stream": "bedrock_converse",
    "/invoke": "bedrock_invoke",
    "/invoke-with-response-stream": "bedrock_invoke",
}
LINKS = ("id", "tool_use_id", "toolUseId", "tool_call_id")
DATA = ("args", "input", "response")

pytestmark = pytest.mark.skipif(not traffic.present(), reason=traffic.MISSING)


@cache
def exchanges() -> list[tuple[str, Protocol, Call, bytes]]:
    """Id, protocol, call and reply body of every answered exchange in one of these protocols."""
    found = []
    for row in traffic.load():
        url = urlsplit(row.url)
        name = next((name for end, name in ENDS.items() if url.path.endswith(end)), None)
        if name is None or not url.netloc.endswith(HOSTS) or row.status != 200:
            continue
        raw = row.request_body
        call = Call("POST", url.path, query=tuple(parse_qsl(url.query)), raw=raw, body=orjson.loads(raw))
        found.append((row.id, PROTOCOLS[name], call, row.response_body))
    return found


def test_every_reply_is_whole_and_tells_its_tokens() -> None:
    assert len(exchanges()) > 200
    for name, protocol, call, reply in exchanges():
        form = protocol.form(call)
        ending, tokens = protocol.ending(form, reply), protocol.tokens(form, reply)
        assert ending.reason in ("stop", "length", "refusal"), (name, ending)
        assert protocol.model(call), name
        if protocol.name.endswith("count_tokens") or b'"embeddings":' in reply or ending.reason == "refusal":
            continue
        assert tokens.input, name
        assert tokens.output or b'"embedding"' in reply, name
        assert (tokens.cached or 0) <= tokens.input, name


def boundaries(form: str, reply: bytes) -> list[int]:
    """Where one event of a stream ends and the next begins."""
    if form != AWS_EVENTS:
        return [match.end() for match in re.finditer(rb"\r?\n\r?\n", reply)]
    reader, edges = FrameReader(), []
    for place in range(len(reply)):
        if reader.feed(reply[place : place + 1]):
            edges.append(place + 1)
    return edges


def test_no_stream_is_whole_before_its_last_event() -> None:
    tried = 0
    for name, protocol, call, reply in exchanges():
        form = protocol.form(call)
        if form == PLAIN:
            continue
        tried += 1
        edges = boundaries(form, reply)
        assert edges, name
        for edge in [0, *edges[:-1]]:
            assert protocol.ending(form, reply[:edge]).reason == "cut", (name, edge)
    assert tried > 10


def test_no_json_is_whole_before_its_end() -> None:
    for name, protocol, call, reply in exchanges():
        if protocol.form(call) == PLAIN:
            for place in (0, 1, len(reply) // 2, len(reply) - 1):
                assert protocol.ending(PLAIN, reply[:place]).reason == "cut", (name, place)


def renamed(value: Any, data: bool = False) -> Any:
    """The body with every id that could link a call to its result spelled backwards, data left alone."""
    if isinstance(value, list):
        return [renamed(item, data) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: f"new-{item[::-1]}"
        if name in LINKS and isinstance(item, str) and not data
        else renamed(item, data or name in DATA)
        for name, item in value.items()
    }


def test_a_conversation_with_other_ids_is_the_same() -> None:
    changed = 0
    for name, protocol, call, _ in exchanges():
        before = orjson.dumps(call.body)
        settled = protocol.settle(call.body)
        assert orjson.dumps(call.body) == before, name
        assert protocol.settle(renamed(call.body)) == settled, name
        changed += settled is not call.body
    assert changed > 50


def test_embedding_replies_are_taken_apart_and_put_together_again() -> None:
    tried = 0
    for name, protocol, call, reply in exchanges():
        if not isinstance(protocol, Batch):
            continue
        tried += 1
        items = protocol.split(call)
        assert items, name
        answers = protocol.answers(reply, len(items))
        assert orjson.loads(protocol.join(call, answers)) == orjson.loads(reply), name
        assert orjson.loads(protocol.ask(call, items)) == call.body, name
    assert tried >= 4
