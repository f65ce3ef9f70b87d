"""No protocol stumbles over a request or a reply of a shape nobody promised."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.protocols import PROTOCOLS
from addons.protocols.base import BadReply, Batch, Call, Ending, Tokens
from addons.protocols.bedrock import AWS_EVENTS
from tests.samples.event_stream import chunk, event

NAMES = [
    *("type", "message", "messages", "content", "delta", "usage", "id", "index", "error", "text", "system", "input"),
    *("stop_reason", "stopReason", "finish_reason", "finishReason", "candidates", "parts", "choices", "results"),
    *("output", "contents", "tools", "functionCall", "toolUse", "container", "source", "requests", "embeddings"),
    *("embedding", "values", "texts", "inputs", "meta", "tokens", "usageMetadata", "promptFeedback", "done"),
    *("tool_calls", "metadata", "generation", "fileData", "skills", "images", "prompt", "model", "data"),
]
WORDS = ["message_stop", "message-end", "message", "message_delta", "STOP", "MAX_TOKENS", "end_turn", "file", "a", ""]
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.sampled_from(WORDS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)


@pytest.mark.parametrize("name", PROTOCOLS)
@settings(max_examples=60, deadline=None)
@given(body=VALUES)
def test_requests(name: str, body: Any) -> None:
    protocol = PROTOCOLS[name]
    call = Call("POST", "/v1/models/m:generateContent", raw=orjson.dumps(body), body=body)
    before = orjson.dumps(body)
    assert protocol.form(call)
    assert isinstance(protocol.model(call), str)
    assert isinstance(protocol.refuses(call), str | None)
    orjson.dumps([protocol.content(call), protocol.settle(body)])
    if isinstance(protocol, Batch) and (items := protocol.split(call)) is not None:
        orjson.dumps(protocol.space(call))
        assert protocol.split(Call("POST", call.path, body=orjson.loads(protocol.ask(call, items)))) == items
    assert orjson.dumps(body) == before


def framed(values: list[Any]) -> dict[str, bytes]:
    """The same values in every form a reply may have."""
    lines = [orjson.dumps(value) for value in values]
    kinds = ["messageStop", "metadata", "contentBlockDelta"]
    return {
        "plain": lines[0],
        "sse": b"".join(b"data: " + line + b"\n\n" for line in lines),
        "ndjson": b"\n".join(lines),
        "json-array": orjson.dumps(values),
        AWS_EVENTS: b"".join([chunk(value) for value in values] + list(map(event, kinds, values))),
    }


@pytest.mark.parametrize("name", PROTOCOLS)
@settings(max_examples=60, deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=4))
def test_replies(name: str, values: list[Any]) -> None:
    protocol = PROTOCOLS[name]
    for form, body in framed(values).items():
        assert isinstance(protocol.ending(form, body), Ending)
        assert isinstance(protocol.tokens(form, body), Tokens)
        if isinstance(protocol, Batch):
            with contextlib.suppress(BadReply):
                protocol.answers(body, 1)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("body", [b"", b"\x00\xff", b"[" * 5000, b"{}" * 3, b"data: {\n\n", b"null", b"<html></html>"])
def test_garbage_is_never_whole(name: str, body: bytes) -> None:
    protocol = PROTOCOLS[name]
    if name != "other":
        for form in ("plain", "sse", "ndjson", "json-array", AWS_EVENTS):
            assert not protocol.ending(form, body).complete
    assert protocol.tokens("plain", body) == Tokens()
