"""Each sample says what its protocol must make of an exchange."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from addons.protocols import PROTOCOLS
from addons.protocols.base import Call, Protocol, Tokens

SAMPLES = Path(__file__).parents[1] / "samples"
NAMES = ("openai_chat", "openai_completions", "openai_responses", "openai_embeddings", "other")


def samples() -> list[Any]:
    found = []
    for name in NAMES:
        sample = json.loads((SAMPLES / f"{name}.json").read_text())
        for exchange in sample["exchanges"]:
            values = (PROTOCOLS[sample["protocol"]], sample["path"], exchange)
            found.append(pytest.param(*values, id=f"{name}: {exchange['name']}"))
    return found


@pytest.mark.parametrize(("protocol", "path", "exchange"), samples())
def test_sample(protocol: Protocol, path: str, exchange: dict[str, Any]) -> None:
    call = Call(method="POST", path=path, body=exchange["request"])
    stream = exchange.get("stream")
    body = "".join(stream).encode() if stream else json.dumps(exchange["reply"]).encode()
    form = protocol.form(call)
    assert form == exchange["form"]
    assert protocol.refuses(call) == exchange.get("refuses")
    assert protocol.ending(form, body).reason == exchange["ending"]
    assert protocol.tokens(form, body) == Tokens(*exchange["tokens"])
    assert protocol.model(call) == exchange["request"].get("model", "")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("body", [b"{", b'{"a"', b"data: {", b'{"a": 1', b'[{"a": 1}', b"data: {}\n"])
def test_broken_bodies_are_cut(name: str, body: bytes) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.ending("plain", body).reason == "cut"
    assert protocol.ending("sse", body).reason == "cut"
    assert protocol.tokens("sse", body) == Tokens()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "other"])
@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"[]", b"1", b"data: 1\n\ndata: [DONE]\n\n", b"\xff\xfe"])
def test_what_is_no_reply_is_never_whole(name: str, body: bytes) -> None:
    assert not PROTOCOLS[name].ending("plain", body).complete
    assert not PROTOCOLS[name].ending("sse", body).complete


@pytest.mark.parametrize("name", [name for name in NAMES if name != "other"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [1, {"index": [], "message": 5, "finish_reason": {}}], "usage": [1], "data": [3]}',
        b'{"choices": {"a": 1}, "output": {"content": 1}, "status": ["x"], "usage": {"prompt_tokens": "9"}}',
        b'{"output": [{"content": [{"type": []}], "type": {}}], "status": {}, "object": [], "type": {}, "x_groq": 1}',
        b'data: {"type": {}, "response": 7}\n\ndata: {"type": "response.completed", "response": [1]}\n\n',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"choices": [{"message": {"content": ' + b"[" * 900 + b"]" * 900 + b"}}]}",
    ],
)
def test_odd_shapes_never_raise(name: str, body: bytes) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.ending("plain", body).reason in ("stop", "empty", "cut", "length")
    assert protocol.tokens("plain", body).input is None


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_shaped_as_openai_shapes_them(name: str) -> None:
    error = json.loads(PROTOCOLS[name].error(424, 'not "recorded"', "not_recorded"))
    expected = {"message": 'not "recorded"', "type": "invalid_request_error", "param": None, "code": "not_recorded"}
    assert error == {"error": expected}


def test_errors_of_the_server_are_named_so() -> None:
    assert json.loads(PROTOCOLS["openai_chat"].error(502, "gone", "upstream_failed"))["error"]["type"] == "server_error"
