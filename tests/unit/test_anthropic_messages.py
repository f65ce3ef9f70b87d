"""Anthropic's messages: forms, state, links, endings, tokens."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest

from addons.protocols.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from addons.protocols.base import Call, Tokens

STREAM = (Path(__file__).parents[1] / "samples/anthropic_messages.sse").read_bytes()
MESSAGES = AnthropicMessages()
COUNT = AnthropicCountTokens()


def call(path: str = "/v1/messages", **body: Any) -> Call:
    return Call("POST", path, body={"model": "claude-sonnet-4-5", "max_tokens": 5, **body})


def reply(**members: Any) -> bytes:
    whole = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    return orjson.dumps({**whole, **members})


def test_form_and_operation() -> None:
    assert MESSAGES.form(call()) == "plain"
    assert MESSAGES.form(call(stream=False)) == "plain"
    assert MESSAGES.form(call(stream=True)) == "sse"
    assert MESSAGES.form(call(stream="true")) == "sse+odd"
    assert COUNT.form(call(stream=True)) == "plain"
    vertex = "/v1/projects/p/locations/l/publishers/anthropic/models/claude@1"
    assert MESSAGES.operation(call(f"{vertex}:streamRawPredict")) == f"{vertex}:rawPredict"


def test_model_is_in_the_body_or_the_path() -> None:
    assert MESSAGES.model(call()) == "claude-sonnet-4-5"
    assert MESSAGES.model(Call("POST", "/x", {"model": "claude@1:rawPredict"}, body={})) == "claude@1"


FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"container": "container_1"}, "container"),
        ({"container": {"id": "container_1"}}, "container"),
        ({"container": {"skills": [{"type": "custom", "skill_id": "s"}]}}, "container"),
        ({"container": {"skills": [{"type": "anthropic", "skill_id": "pdf"}]}}, None),
        ({"container": None}, None),
        ({"mcp_servers": [{"type": "url", "url": "https://example.com"}]}, "mcp_servers"),
        ({"mcp_servers": []}, None),
        ({"messages": [{"role": "user", "content": [FILE]}]}, "file_id"),
        ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]}, "file_id"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [FILE]}]}]}, "file_id"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": FILE}]}]}, None),
        ({"messages": [{"role": "user", "content": "what is a file_id?"}]}, None),
        ({"context_management": {"edits": []}}, None),
    ],
)
def test_what_leans_on_state_is_refused(body: dict[str, Any], reason: str | None) -> None:
    assert MESSAGES.refuses(call(**body)) == reason
    assert COUNT.refuses(call(**body)) == reason


def conversation(used: str, result: str, searched: str = "srv_1", found: str = "srv_1") -> dict[str, Any]:
    assistant = [
        {"type": "server_tool_use", "id": searched, "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": found, "content": []},
        {"type": "tool_use", "id": used, "name": "add", "input": {"id": "kept"}},
    ]
    answer = {"type": "tool_result", "tool_use_id": result, "content": "3"}
    return {"messages": [{"role": "assistant", "content": assistant}, {"role": "user", "content": [answer]}]}


def test_echoed_ids_do_not_count_but_their_links_do() -> None:
    body = conversation("toolu_1", "toolu_1")
    before = copy.deepcopy(body)
    settled = MESSAGES.settle(body)
    assert body == before
    assert settled == MESSAGES.settle(conversation("toolu_9", "toolu_9", "srv_7", "srv_7"))
    assert settled["messages"][0]["content"][2]["input"] == {"id": "kept"}
    for changed in (("toolu_2", "toolu_1"), ("toolu_1", "toolu_2"), ("srv_1", "toolu_1"), ("toolu_1", "toolu_1", "x")):
        assert MESSAGES.settle(conversation(*changed)) != settled


def test_content_is_the_conversation_alone() -> None:
    hint = {"cache_control": {"type": "ephemeral"}}
    short = call(system="Be brief.", messages=[{"role": "user", "content": "Hi"}], temperature=0)
    blocks = [{"type": "text", "text": "Hi", **hint}]
    long = call(system=[{"type": "text", "text": "Be brief.", **hint}], messages=[{"role": "user", "content": blocks}])
    assert MESSAGES.content(short) == MESSAGES.content(long)
    assert MESSAGES.content(short) != MESSAGES.content(call(messages=[{"role": "user", "content": "Hi"}]))
    assert MESSAGES.content(Call("POST", "/", body=[1])) == [1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (reply(), "stop"),
        (reply(stop_reason="tool_use", content=[{"type": "tool_use", "id": "t", "name": "n", "input": {}}]), "stop"),
        (reply(stop_reason="pause_turn"), "stop"),
        (reply(stop_reason="max_tokens"), "length"),
        (reply(stop_reason="model_context_window_exceeded"), "length"),
        (reply(stop_reason="refusal", content=[]), "refusal"),
        (reply(content=[]), "empty"),
        (reply(content=[{"type": "text", "text": ""}]), "empty"),
        (reply(stop_reason=None), "cut"),
        (reply(stop_reason=["a"]), "stop"),
        (reply()[:-1], "cut"),
        (b"", "cut"),
        (b"null", "error"),
        (reply(content=None), "error"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "error"),
    ],
)
def test_how_a_plain_reply_ended(body: bytes, reason: str) -> None:
    assert MESSAGES.ending("plain", body).reason == reason


def test_a_stream_is_whole_only_with_its_last_event() -> None:
    assert MESSAGES.ending("sse", STREAM).reason == "stop"
    terminal = STREAM.index(b'{"type":"message_stop"}') + len(b'{"type":"message_stop"}')
    assert MESSAGES.ending("sse", STREAM[:terminal]).complete
    for place in range(terminal):
        assert MESSAGES.ending("sse", STREAM[:place]).reason == "cut"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"end_turn"', b'"max_tokens"', "length"),
        (b'"end_turn"', b'"refusal"', "refusal"),
        (b'"type":"ping"', b'"type":"error","error":{"type":"overloaded_error"}', "error"),
        (b'"text":"m\xc3\xa4rz."', b'"text":""', "stop"),
    ],
)
def test_how_a_stream_ended(old: bytes, new: bytes, reason: str) -> None:
    assert old in STREAM
    assert MESSAGES.ending("sse", STREAM.replace(old, new)).reason == reason


def test_a_stream_without_text_is_empty() -> None:
    silent = STREAM.replace(b'"text":"It is "', b'"text":""').replace(b'"text":"m\xc3\xa4rz."', b'"text":""')
    assert MESSAGES.ending("sse", silent).reason == "empty"


def test_tokens() -> None:
    assert MESSAGES.tokens("sse", STREAM) == Tokens(input=142, output=7, cached=100)
    assert MESSAGES.tokens("plain", reply()) == Tokens(input=3, output=4)
    details = {"input_tokens": 3, "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 80}}
    assert MESSAGES.tokens("plain", reply(usage=details)).reasoning == 80
    assert MESSAGES.tokens("plain", b"{") == MESSAGES.tokens("sse", b"data: {\n\n") == Tokens()


def test_counting() -> None:
    assert COUNT.ending("plain", b'{"input_tokens":7}').reason == "stop"
    assert COUNT.ending("plain", b'{"input_tokens":').reason == "cut"
    assert COUNT.ending("plain", b'{"type":"error"}').reason == "error"
    assert COUNT.tokens("plain", b'{"input_tokens":7}') == Tokens()


def test_error_has_the_providers_shape() -> None:
    assert orjson.loads(MESSAGES.error(424, "nothing recorded", "not_recorded")) == {
        "type": "error",
        "error": {"type": "not_recorded", "message": "nothing recorded"},
    }
