from __future__ import annotations

import copy
from typing import Any

import pytest

from addons.identity import settled
from addons.protocols.base import Call
from addons.protocols.openai_responses import OpenaiResponses

RESPONSES = OpenaiResponses()


def call(**body: Any) -> Call:
    return Call(method="POST", path="/v1/responses", body=body)


def turn(called: str, answered: str, kind: str = "function_call") -> dict[str, Any]:
    return {
        "model": "m",
        "input": [
            {"role": "user", "content": "look"},
            {"type": kind, "id": "fc_1", "call_id": called, "name": "look", "arguments": "{}"},
            {"type": f"{kind}_output", "call_id": answered, "output": "42"},
        ],
    }


@pytest.mark.parametrize(
    "kind",
    ["function_call", "custom_tool_call", "computer_call", "shell_call", "apply_patch_call"],
)
def test_linked_ids_do_not_count(kind: str) -> None:
    body = turn("call_x", "call_x", kind)
    before = copy.deepcopy(body)
    same = RESPONSES.settle(turn("call_y", "call_y", kind))
    assert RESPONSES.settle(body) == same != body
    assert body == before
    assert RESPONSES.settle(turn("call_x", "call_y", kind)) != same
    assert RESPONSES.settle(turn("call_y", "call_x", kind)) != same


def test_ids_on_one_side_only_stay() -> None:
    body = turn("call_x", "call_x")
    for index in (1, 2):
        half = {**body, "input": [item for number, item in enumerate(body["input"]) if number != index]}
        assert RESPONSES.settle(half) is half
    twice = {"input": [body["input"][1], {**body["input"][1], "id": "fc_2"}]}
    assert RESPONSES.settle(twice) is twice


def test_the_order_of_results_counts() -> None:
    first, second = turn("call_x", "call_x")["input"][1:], turn("call_y", "call_y")["input"][1:]
    straight = {"input": [first[0], second[0], first[1], {**second[1], "output": "43"}]}
    crossed = {"input": [first[0], second[0], {**second[1], "output": "42"}, {**first[1], "output": "43"}]}
    assert RESPONSES.settle(straight) != RESPONSES.settle(crossed)


@pytest.mark.parametrize("body", [None, [], {}, {"input": "x"}, {"input": [1, None, {"type": 3, "call_id": 4}]}])
def test_odd_bodies_settle_to_themselves(body: Any) -> None:
    asked = Call(method="POST", path="/", body=body)
    assert RESPONSES.settle(body) is body
    RESPONSES.content(asked)
    assert RESPONSES.refuses(asked) is None
    assert RESPONSES.form(asked) == "plain"


def message(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (call(input="hi"), None),
        (call(input="hi", store=True), None),
        (call(input="hi", previous_response_id="resp_1"), "previous_response_id"),
        (call(input="hi", previous_response_id=None, conversation=None, background=False), None),
        (call(input="hi", conversation="conv_1"), "conversation"),
        (call(input="hi", conversation={"id": "conv_1"}), "conversation"),
        (call(input="hi", background=True), "background"),
        (call(prompt={"id": "pmpt_1"}), "prompt without version"),
        (call(prompt={"id": "pmpt_1", "version": "2"}), None),
        (call(prompt={"id": "p", "version": "2", "variables": {"f": {"file_id": "f"}}}), "file_id"),
        (call(input=[{"type": "item_reference", "id": "msg_1"}]), "item_reference"),
        (call(input=[{"id": "msg_1"}]), "item_reference"),
        (call(input=message({"type": "input_file", "file_id": "file-1"})), "file_id"),
        (call(input=message({"type": "input_image", "file_id": "file-1"})), "file_id"),
        (call(input=message({"type": "input_image", "image_url": "https://x", "file_id": None})), None),
        (call(input=message({"type": "output_text", "text": "x", "annotations": [{"file_id": "f"}]})), None),
        (call(input=[{"type": "function_call_output", "output": [{"file_id": "f"}]}]), "file_id"),
        (call(input=[{"type": "tool_search_call", "arguments": {"file_id": "f"}}]), None),
        (call(input=[{"type": "code_interpreter_call", "container_id": "cntr_1"}]), "container_id"),
        (call(tools=[{"type": "code_interpreter", "container": "cntr_1"}]), "container"),
        (call(tools=[{"type": "code_interpreter", "container": {"type": "auto"}}]), None),
        (call(tools=[{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]), "file_ids"),
        (call(tools=[{"type": "code_interpreter", "container": {"type": "auto", "file_ids": []}}]), None),
        (call(tools=[{"type": "file_search", "vector_store_ids": ["vs_1"]}]), "vector_store_ids"),
        (call(tools=[{"type": "image_generation", "input_image_mask": {"file_id": "f"}}]), "file_id"),
        (call(tools=[{"type": "web_search"}, {"type": "mcp", "server_url": "https://x"}]), None),
    ],
)
def test_refuses(asked: Call, reason: str | None) -> None:
    assert RESPONSES.refuses(asked) == reason


def test_noise_leaves_the_key_alone_and_nothing_else_does() -> None:
    bare = {"model": "m", "input": message({"type": "input_text", "text": "hi"})}
    noisy = {
        "model": "m",
        "input": message({"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"}}),
        "stream": True,
        "stream_options": {"include_obfuscation": False},
        "user": "u",
        "metadata": {"a": "b"},
        "safety_identifier": "s",
        "prompt_cache_key": "k",
    }
    assert settled(RESPONSES, noisy) == settled(RESPONSES, bare)
    for name in ("store", "include", "service_tier", "truncation", "made_up"):
        assert settled(RESPONSES, {**bare, name: "x"}) != settled(RESPONSES, bare)
    options = {"mode": "explicit", "ttl": "30m"}
    plain, prewarmed = ({**bare, "prompt_cache_options": {**options, **more}} for more in ({}, {"prewarm": True}))
    assert settled(RESPONSES, plain) != settled(RESPONSES, prewarmed)


@pytest.mark.parametrize("nest", [0, 1])
@pytest.mark.parametrize("in_item", [False, True])
def test_the_order_of_schema_members_counts_wherever_tools_stand(nest: int, in_item: bool) -> None:
    def body(*names: str) -> dict[str, Any]:
        tool: dict[str, Any] = {"type": "function", "name": "f", "parameters": dict.fromkeys(names, 1)}
        tools = [{"type": "namespace", "name": "n", "tools": [tool]}] if nest else [tool]
        return {"input": [{"type": "additional_tools", "tools": tools}]} if in_item else {"tools": tools}

    assert settled(RESPONSES, body("a", "b")) != settled(RESPONSES, body("b", "a"))


def test_content_is_the_conversation_alone() -> None:
    said = turn("call_x", "call_x")
    text = RESPONSES.content(call(model="a", input="hi"))
    assert text == RESPONSES.content(
        call(model="b", temperature=0, input=message({"type": "input_text", "text": "hi"}))
    )
    assert text != RESPONSES.content(call(input="hi", instructions="be brief"))
    assert text != RESPONSES.content(call(input="hi", previous_response_id="resp_1"))
    echoed = {**turn("call_y", "call_y"), "model": "b"}
    echoed["input"].insert(1, {"type": "reasoning", "id": "rs_1", "encrypted_content": "AAAA", "summary": []})
    echoed["input"][2]["id"] = "fc_2"
    assert RESPONSES.content(call(**said)) == RESPONSES.content(call(**echoed))
    echoed["input"][3]["output"] = "43"
    assert RESPONSES.content(call(**said)) != RESPONSES.content(call(**echoed))
