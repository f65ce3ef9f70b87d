"""Bedrock's Converse and InvokeModel, in one piece and as binary streams."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from addons.protocols.base import Call, Tokens
from addons.protocols.bedrock import AWS_EVENTS, BedrockConverse, BedrockInvoke
from tests.samples.event_stream import chunk, event, exception

CONVERSE, INVOKE = BedrockConverse(), BedrockInvoke()
MODEL = "/model/us.amazon.nova-lite-v1%3A0"

EVENTS = [
    event("messageStart", {"role": "assistant"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Grüezi"}, "p": "abcd"}),
    event("contentBlockStop", {"contentBlockIndex": 0}),
    event("messageStop", {"stopReason": "end_turn"}),
    event("metadata", {"usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 5}}),
]
CLAUDE = [
    chunk({"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}}),
    chunk({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}),
    chunk({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
    chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 4}}),
]
NOVA = [
    chunk({"messageStart": {"role": "assistant"}}),
    chunk({"contentBlockDelta": {"delta": {"text": "Hi"}}}),
    chunk({"messageStop": {"stopReason": "end_turn"}}),
    chunk({"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}}),
]
LLAMA = [
    chunk({"generation": "Hi", "stop_reason": None}),
    chunk({"generation": "", "stop_reason": "stop", "prompt_token_count": 3, "generation_token_count": 4}),
]


def call(path: str, **body: Any) -> Call:
    return Call("POST", path, body=body)


@pytest.mark.parametrize(
    ("protocol", "plain", "streamed"),
    [(CONVERSE, "converse", "converse-stream"), (INVOKE, "invoke", "invoke-with-response-stream")],
)
def test_form_operation_and_model(protocol: BedrockConverse | BedrockInvoke, plain: str, streamed: str) -> None:
    one, other = call(f"{MODEL}/{plain}"), call(f"{MODEL}/{streamed}")
    assert (protocol.form(one), protocol.form(other)) == ("plain", AWS_EVENTS)
    assert protocol.operation(one) == protocol.operation(other) == f"{MODEL}/{plain}"
    assert protocol.model(one) == protocol.model(other) == "us.amazon.nova-lite-v1:0"
    assert protocol.model(Call("POST", "/x", {"model": "arn:aws:bedrock:a/b"})) == "arn:aws:bedrock:a/b"


def test_prompts_kept_by_the_server_are_refused() -> None:
    prompt = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aprompt%2FABC/converse"
    assert CONVERSE.refuses(call(prompt)) == CONVERSE.refuses(call(MODEL, promptVariables={"a": {}})) == "prompt"
    assert CONVERSE.refuses(call(f"{MODEL}/converse")) is None
    assert INVOKE.refuses(call(f"{MODEL}/invoke", container="c")) == "container"


def test_echoed_ids_do_not_count_but_their_links_do() -> None:
    def converse(called: str, answered: str) -> Any:
        blocks = [{"toolUse": {"toolUseId": called}}, {"toolResult": {"toolUseId": answered}}]
        return {"messages": [{"content": [block]} for block in blocks]}

    def claude(called: str, answered: str) -> Any:
        blocks = [{"type": "tool_use", "id": called}, {"type": "tool_result", "tool_use_id": answered}]
        return {"messages": [{"content": [block]} for block in blocks]}

    def chat(called: str, answered: str) -> Any:
        return {"messages": [{"tool_calls": [{"id": called}]}, {"role": "tool", "tool_call_id": answered}]}

    assert CONVERSE.settle(converse("a", "a")) == CONVERSE.settle(converse("b", "b")) != converse("a", "a")
    assert CONVERSE.settle(converse("a", "b")) == converse("a", "b")
    for body in (converse, claude, chat):
        assert INVOKE.settle(body("a", "a")) == INVOKE.settle(body("b", "b")) != body("a", "a")


def test_content_is_the_conversation_alone() -> None:
    point = {"cachePoint": {"type": "default"}}
    said = [{"role": "user", "content": [{"text": "Hi"}]}]
    hinted = [{"role": "user", "content": [{"text": "Hi"}, point]}]
    one = call(MODEL, messages=said, system=[{"text": "s"}], inferenceConfig={"temperature": 0})
    assert CONVERSE.content(one) == CONVERSE.content(call(MODEL, messages=hinted, system=[{"text": "s"}, point]))
    assert CONVERSE.content(one) == {"messages": said, "system": [{"text": "s"}]}


def reply(stop: str = "end_turn", *content: Any) -> bytes:
    message = {"role": "assistant", "content": content or [{"text": "Hi"}]}
    return orjson.dumps({"output": {"message": message}, "stopReason": stop, "usage": {"inputTokens": 1}})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (reply(), "stop"),
        (reply("tool_use", {"toolUse": {"toolUseId": "t"}}), "stop"),
        (reply("max_tokens"), "length"),
        (reply("model_context_window_exceeded"), "length"),
        (reply("guardrail_intervened"), "refusal"),
        (reply("content_filtered"), "refusal"),
        (reply("end_turn", {"text": ""}), "empty"),
        (b'{"message":"Too many tokens"}', "error"),
        (b"[]", "error"),
        (reply()[:-1], "cut"),
    ],
)
def test_how_a_plain_reply_ended(body: bytes, reason: str) -> None:
    assert CONVERSE.ending("plain", body).reason == reason


def test_a_stream_is_whole_only_with_its_last_event() -> None:
    stream = b"".join(EVENTS)
    assert CONVERSE.ending(AWS_EVENTS, stream).reason == "stop"
    for place in range(len(stream)):
        assert CONVERSE.ending(AWS_EVENTS, stream[:place]).reason == "cut"


def test_how_a_stream_ended() -> None:
    def ended(*changes: tuple[int, bytes]) -> str:
        events = dict(enumerate(EVENTS)) | dict(changes)
        return CONVERSE.ending(AWS_EVENTS, b"".join(events.values())).reason

    assert ended((3, event("messageStop", {"stopReason": "max_tokens"}))) == "length"
    assert ended((3, event("messageStop", {"stopReason": "guardrail_intervened"}))) == "refusal"
    assert ended((1, event("contentBlockDelta", {"delta": {"text": ""}}))) == "empty"
    assert ended((1, event("contentBlockStart", {"start": {"toolUse": {"name": "f"}}}))) == "stop"
    assert ended((2, exception("throttlingException", "slow down"))) == "error"
    assert ended((5, exception("modelStreamErrorException", "broke"))) == "error"
    assert ended((2, EVENTS[2][:-1] + b"\x00")) == "cut"
    assert ended((3, b"")) == "cut"


@pytest.mark.parametrize("chunks", [CLAUDE, NOVA, LLAMA])
def test_an_invoke_stream_is_whole_only_with_its_last_chunk(chunks: list[bytes]) -> None:
    assert INVOKE.ending(AWS_EVENTS, b"".join(chunks)).reason == "stop"
    assert INVOKE.tokens(AWS_EVENTS, b"".join(chunks)) == Tokens(input=3, output=4)
    for count in range(len(chunks)):
        assert INVOKE.ending(AWS_EVENTS, b"".join(chunks[:count])).reason == "cut"
        assert INVOKE.ending(AWS_EVENTS, b"".join(chunks[:count]) + chunks[count][:-1]).reason == "cut"


def test_a_broken_invoke_stream() -> None:
    assert INVOKE.ending(AWS_EVENTS, CLAUDE[0] + exception("internalServerException", "broke")).reason == "error"
    assert INVOKE.ending(AWS_EVENTS, CLAUDE[0] + event("chunk", {"bytes": "%%%"})).reason == "cut"
    assert INVOKE.ending(AWS_EVENTS, b"not an event stream").reason == "cut"


def test_tokens() -> None:
    assert CONVERSE.tokens(AWS_EVENTS, b"".join(EVENTS)) == Tokens(input=8, output=4, cached=5)
    assert CONVERSE.tokens("plain", reply()) == Tokens(input=1)
    for protocol in (CONVERSE, INVOKE):
        assert protocol.tokens("plain", b"{") == protocol.tokens(AWS_EVENTS, EVENTS[0][:-1]) == Tokens()


def test_error_has_the_providers_shape() -> None:
    error = orjson.loads(CONVERSE.error(424, "nothing recorded", "not_recorded"))
    assert error == {"message": "nothing recorded", "__type": "not_recorded"}
