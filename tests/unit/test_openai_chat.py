from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.identity import settled
from addons.protocols.base import Call
from addons.protocols.openai_chat import OpenaiChat
from addons.protocols.openai_completions import OpenaiCompletions

CHAT = OpenaiChat()


def call(path: str = "/v1/chat/completions", **body: Any) -> Call:
    return Call(method="POST", path=path, body=body)


def asking(*content: Any, **body: Any) -> Call:
    return call(messages=[{"role": "user", "content": list(content)}], **body)


def conversation(*ids: str, answered: tuple[str, ...] | None = None) -> dict[str, Any]:
    """One turn with a tool call of each id, then its results in the order of `answered`."""
    calls = [{"id": name, "type": "function", "function": {"name": "look", "arguments": "{}"}} for name in ids]
    results = [{"role": "tool", "tool_call_id": name, "content": "42"} for name in answered or ids]
    return {"model": "m", "messages": [{"role": "assistant", "content": None, "tool_calls": calls}, *results]}


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ({}, "plain"),
        ({"stream": False}, "plain"),
        ({"stream": None, "stream_options": None}, "plain"),
        ({"stream": True}, "sse"),
        ({"stream": True, "stream_options": {}}, "sse"),
        ({"stream": True, "stream_options": {"include_usage": False}}, "sse"),
        ({"stream": True, "stream_options": {"include_usage": True}}, "sse+usage"),
        ({"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}}, "sse+usage"),
    ],
)
def test_form(body: dict[str, Any], form: str) -> None:
    assert CHAT.form(call(**body)) == form


def test_every_unknown_way_to_stream_has_a_form_of_its_own() -> None:
    options: list[Any] = [{"continuous_usage_stats": True}, {"continuous_usage_stats": 1}, {"x": "\ud800"}, [], "x"]
    forms = {CHAT.form(call(stream=True, stream_options=value)) for value in options}
    forms |= {CHAT.form(call(stream=value)) for value in (True, 1, "true", 0, None)}
    assert len(forms) == len(options) + 5


def test_vertex_asks_for_a_stream_in_the_path() -> None:
    plain = call("/v1/publishers/mistralai/models/m:rawPredict")
    streamed = call("/v1/publishers/mistralai/models/m:streamRawPredict", stream=True)
    assert CHAT.operation(plain) == CHAT.operation(streamed) == plain.path
    assert (CHAT.form(plain), CHAT.form(streamed)) == ("plain", "sse")
    assert CHAT.form(call(streamed.path)) == "sse"


def test_the_model_may_stand_in_the_path() -> None:
    azure = Call(method="POST", path="/x", params={"deployment": "mine"}, body={"messages": []})
    assert CHAT.model(azure) == "mine"
    assert CHAT.model(call(model="m")) == "m"
    assert CHAT.model(call(model=5)) == ""


def test_noise_leaves_the_key_alone_and_nothing_else_does() -> None:
    hint = {"type": "ephemeral"}
    bare = asking({"type": "text", "text": "hi"}, model="m", tools=[{"type": "function", "function": {"name": "f"}}])
    noisy = asking(
        {"type": "text", "text": "hi", "cache_control": hint, "prompt_cache_breakpoint": {"mode": "explicit"}},
        model="m",
        tools=[{"type": "function", "function": {"name": "f"}, "cache_control": hint}],
        stream=True,
        stream_options={"include_usage": True},
        user="u",
        metadata={"a": "b"},
        safety_identifier="s",
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        store=False,
    )
    assert settled(CHAT, noisy.body) == settled(CHAT, bare.body)
    for name in ("service_tier", "seed", "n", "models", "provider", "made_up"):
        assert settled(CHAT, {**bare.body, name: "x"}) != settled(CHAT, bare.body)


def test_the_order_of_schema_members_counts() -> None:
    def tools(*names: str) -> dict[str, Any]:
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        return {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}

    assert settled(CHAT, tools("a", "b")) != settled(CHAT, tools("b", "a"))
    assert settled(CHAT, {"b": 1, "a": 2}) == settled(CHAT, {"a": 2, "b": 1})


def test_linked_ids_do_not_count() -> None:
    assert CHAT.settle(conversation("call_x", "call_y")) == CHAT.settle(conversation("call_p", "call_q"))


def test_who_answers_what_counts() -> None:
    settled_ones = [
        CHAT.settle(conversation("a1", "b1")),
        CHAT.settle(conversation("a1", "b1", answered=("b1", "a1"))),
        CHAT.settle(conversation("a1", "b1", answered=("a1", "a1"))),
        CHAT.settle(conversation("a1", "b1", answered=("a1", "zz"))),
        CHAT.settle(conversation("zz", "b1", answered=("a1", "b1"))),
        CHAT.settle(conversation("a1", "a1", answered=("a1", "a1"))),
    ]
    for index, value in enumerate(settled_ones):
        assert value not in settled_ones[:index]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=5), st.lists(st.sampled_from("abcde"), max_size=5))
def test_settling_is_a_renaming_and_no_more(called: list[str], answered: list[str]) -> None:
    names = {name: f"call_{name * 3}" for name in "abcde"}
    body = conversation(*(names[name] for name in called), answered=tuple(names[name] for name in answered))
    other = {name: f"tool_{name.upper()}" for name in "abcde"}
    renamed = conversation(*(other[name] for name in called), answered=tuple(other[name] for name in answered))
    before = copy.deepcopy(body)
    linked = set(called) & set(answered or called)
    all_linked = set(called) | set(answered) == linked
    assert (CHAT.settle(body) == CHAT.settle(renamed)) is all_linked
    assert body == before
    assert (CHAT.settle(body) is body) is (not linked)


def test_an_id_that_is_quoted_stays() -> None:
    body = conversation("call_x")
    body["messages"].append({"role": "user", "content": "what did call_x say?"})
    assert CHAT.settle(body) is body


@pytest.mark.parametrize("body", [None, [], "x", {}, {"messages": 1}, {"messages": [1, {"tool_calls": {"id": 2}}]}])
def test_odd_bodies_settle_to_themselves(body: Any) -> None:
    assert CHAT.settle(body) is body
    CHAT.content(Call(method="POST", path="/", body=body))
    assert CHAT.refuses(Call(method="POST", path="/", body=body)) is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (asking({"type": "text", "text": "file_id"}), None),
        (asking({"type": "file", "file": {"file_data": "data:,x", "filename": "x"}}), None),
        (asking({"type": "file", "file": {"file_id": "file-1"}}), "file_id"),
        (asking({"type": "file", "file": {"file_id": None}}), None),
        (call(messages=[{"role": "assistant", "audio": {"id": "audio_1"}}]), "audio id"),
        (call(messages=[{"role": "assistant", "audio": {"id": "", "data": ""}}]), None),
        (call(messages=[], store=True), "store"),
        (call(messages=[], store=False), None),
        (call(messages=[], deferred=True), "deferred"),
        (call(messages=[], preset="mine"), "preset"),
        (call(messages=[], model="@preset/mine"), "preset"),
        (call(messages=[], data_sources=[{"type": "azure_search"}]), "data_sources"),
        (call(messages=[], tools=[{"type": "retrieval", "retrieval": {"knowledge_id": "1"}}]), "knowledge_id"),
        (call(messages=[], tools=[{"function": {"parameters": {"properties": {"file_id": {}}}}}]), None),
        (call(messages=[], web_search_options={}), None),
    ],
)
def test_refuses(asked: Call, reason: str | None) -> None:
    assert CHAT.refuses(asked) == reason


def test_content_is_the_conversation_alone() -> None:
    turn = conversation("call_x")
    text = {"role": "user", "content": "hi"}
    part = {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}
    one = call(model="a", temperature=1, messages=[text, *turn["messages"]])
    same = call(model="b", top_p=0.5, messages=[part, *conversation("call_y")["messages"]])
    assert CHAT.content(one) == CHAT.content(same)
    for changed in (
        {**text, "content": "ho"},
        {**text, "role": "system"},
        {**text, "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]},
        {**text, "content": [{"type": "image_url", "image_url": {"url": "hi"}}]},
    ):
        assert CHAT.content(call(messages=[changed, *turn["messages"]])) != CHAT.content(one)
    other_call = conversation("call_x")
    other_call["messages"][0]["tool_calls"][0]["function"]["arguments"] = '{"a":1}'
    assert CHAT.content(call(messages=[text, *other_call["messages"]])) != CHAT.content(one)


def test_completions_content_is_the_prompt() -> None:
    completions = OpenaiCompletions()
    assert completions.content(call(model="a", prompt="x")) == completions.content(call(model="b", prompt="x", n=2))
    assert completions.content(call(prompt="x", suffix="y")) != completions.content(call(prompt="x"))
    assert completions.content(call(prompt=["x"])) != completions.content(call(prompt="x"))
