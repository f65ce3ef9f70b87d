"""Ollama's chat, generate and embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.protocols.base import Answers, Call, Protocol, Tokens
from addons.protocols.ollama import OllamaChat, OllamaEmbed, OllamaGenerate
from tests.unit.batches import refuses_bad_replies, round_trip, vector

STREAM = (Path(__file__).parents[1] / "samples/ollama_chat.ndjson").read_bytes()
CHAT, GENERATE, EMBED = OllamaChat(), OllamaGenerate(), OllamaEmbed()
HELLO = [{"role": "user", "content": "Hi"}]


def call(**body: Any) -> Call:
    return Call("POST", "/api/any", body={"model": "llama3.2", **body})


@pytest.mark.parametrize("protocol", [CHAT, GENERATE])
def test_streams_unless_told_not_to(protocol: Protocol) -> None:
    forms = [protocol.form(call(**stream)) for stream in ({}, {"stream": True}, {"stream": None}, {"stream": False})]
    assert forms == ["ndjson", "ndjson", "ndjson", "plain"]


def test_loading_a_model_has_to_happen() -> None:
    assert CHAT.refuses(call(messages=[])) == GENERATE.refuses(call(keep_alive=0)) == "load"
    assert CHAT.refuses(call(messages=HELLO)) is GENERATE.refuses(call(prompt="Hi")) is None


def test_echoed_ids_do_not_count_but_their_links_do() -> None:
    def body(called: str, answered: str) -> Any:
        return {"messages": [{"tool_calls": [{"id": called}]}, {"role": "tool", "tool_call_id": answered}]}

    assert CHAT.settle(body("a", "a")) == CHAT.settle(body("b", "b")) != CHAT.settle(body("a", "b"))


def test_a_stream_is_whole_only_with_its_last_line() -> None:
    assert CHAT.ending("ndjson", STREAM).reason == "stop"
    for place in range(len(STREAM) - 1):
        assert CHAT.ending("ndjson", STREAM[:place]).reason == "cut"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"response":"Hi","done":true,"done_reason":"stop"}', "stop"),
        (b'{"response":"Hi","done":true}', "stop"),
        (b'{"response":"Hi","done":true,"done_reason":"length"}', "length"),
        (b'{"response":"","done":true,"done_reason":"load"}', "empty"),
        (b'{"message":{"content":"","tool_calls":[{"function":{}}]},"done":true}', "stop"),
        (b'{"response":"Hi","done":false}', "cut"),
        (b'{"response":"Hi","done":true', "cut"),
        (b'{"error":"out of memory"}', "error"),
        (b"[]", "error"),
        (b"", "cut"),
    ],
)
def test_how_a_reply_ended(body: bytes, reason: str) -> None:
    assert GENERATE.ending("plain", body).reason == reason
    assert GENERATE.ending("ndjson", body).reason == reason


def test_an_error_in_a_stream() -> None:
    line = b'{"error":"an error was encountered while running the model"}\n'
    assert CHAT.ending("ndjson", STREAM.splitlines(keepends=True)[0] + line).reason == "error"


def test_tokens() -> None:
    assert CHAT.tokens("ndjson", STREAM) == Tokens(input=11, output=3)
    assert CHAT.tokens("plain", STREAM.splitlines()[-1]) == Tokens(input=11, output=3)
    assert CHAT.tokens("ndjson", b"") == CHAT.tokens("plain", b"{") == EMBED.tokens("plain", b"{") == Tokens()


def test_content_is_the_conversation_alone() -> None:
    assert CHAT.content(call(messages=HELLO, options={"seed": 1})) == {"messages": HELLO}
    assert GENERATE.content(call(prompt="Hi", system="s", raw=True)) == {"system": "s", "prompt": "Hi"}
    assert EMBED.content(call(input="Hi", truncate=True)) == {"input": "Hi"}


def provider(body: Any) -> bytes:
    items = [body["input"]] if isinstance(body["input"], str) else body["input"]
    reply = {"model": "all-minilm", "embeddings": [vector(item) for item in items], "total_duration": 5}
    return orjson.dumps({**reply, "prompt_eval_count": 9})


@given(st.lists(st.sampled_from(["a", "b", "c d", "ä"]), min_size=1, max_size=9))
def test_the_order_is_kept_for_any_mix(texts: list[str]) -> None:
    reply = round_trip(EMBED, call(input=texts, options={"seed": 1}), provider)
    assert reply["embeddings"] == [vector(text) for text in texts]
    assert (reply["model"], reply["prompt_eval_count"]) == ("llama3.2", 7)


def test_a_lone_string_is_asked_for_as_one() -> None:
    assert orjson.loads(EMBED.ask(call(input="a"), ["a"]))["input"] == "a"
    assert EMBED.split(call(input="a")) == EMBED.split(call(input=["a"])) == ["a"]


def test_what_cannot_be_taken_apart() -> None:
    for given_input in ("", [], ["a", ""], ["a", 1], [[1]], None, 5, {"a": 1}):
        assert EMBED.split(call(input=given_input)) is None
    assert EMBED.split(call(prompt="a")) is None
    assert EMBED.split(Call("POST", "/api/embed", body=["a"])) is None


def test_space_leaves_out_inputs_and_noise() -> None:
    space = EMBED.space(call(input="a", keep_alive=5, dimensions=8, new=1))
    assert space == {"model": "llama3.2", "dimensions": 8, "new": 1}


def test_a_reply_without_the_provider() -> None:
    reply = EMBED.join(call(input="a"), Answers([b"\xcd\xcc\xcc\x3d"], "", 0))
    assert reply == b'{"model":"llama3.2","embeddings":[[0.1]]}'


def test_bad_replies() -> None:
    refuses_bad_replies(EMBED, lambda rows: orjson.dumps({"embeddings": rows}))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"embeddings":[[0.5]]}', "stop"),
        (b'{"embedding":[0.5]}', "stop"),
        (b'{"embeddings":[]}', "empty"),
        (b'{"error":"no such model"}', "error"),
        (b'{"embeddings":[[0.5', "cut"),
    ],
)
def test_how_embeddings_ended(body: bytes, reason: str) -> None:
    assert EMBED.ending("plain", body).reason == reason


def test_error_has_the_providers_shape() -> None:
    for protocol in (CHAT, GENERATE, EMBED):
        assert orjson.loads(protocol.error(424, "nothing recorded", "not_recorded")) == {"error": "nothing recorded"}
