"""Cohere's chat, embeddings and reranking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.protocols.base import Answers, Call, Tokens
from addons.protocols.cohere import CohereChat, CohereEmbed, CohereRerank
from tests.unit.batches import refuses_bad_replies, round_trip, vector

STREAM = (Path(__file__).parents[1] / "samples/cohere_chat.sse").read_bytes()
CHAT, EMBED, RERANK = CohereChat(), CohereEmbed(), CohereRerank()
FLOATS: dict[str, Any] = {"embedding_types": ["float"]}


def call(path: str = "/v2/embed", **body: Any) -> Call:
    return Call("POST", path, body={"model": "embed-v4.0", **body})


def test_form() -> None:
    assert CHAT.form(call(stream=True)) == "sse"
    assert CHAT.form(call(stream=1)) == "sse+odd"
    assert CHAT.form(call()) == CHAT.form(call(stream=False)) == "plain"


def test_echoed_ids_do_not_count_but_their_links_do() -> None:
    def body(called: str, answered: str) -> Any:
        return {"messages": [{"tool_calls": [{"id": called}]}, {"role": "tool", "tool_call_id": answered}]}

    assert CHAT.settle(body("a", "a")) == CHAT.settle(body("b", "b")) != CHAT.settle(body("a", "b"))


def reply(finish: str = "COMPLETE", **message: Any) -> bytes:
    return orjson.dumps({"id": "1", "finish_reason": finish, "message": {"role": "assistant", **message}})


TEXT = [{"type": "text", "text": "Hi"}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (reply(content=TEXT), "stop"),
        (reply("TOOL_CALL", tool_calls=[{"id": "t"}]), "stop"),
        (reply("MAX_TOKENS", content=TEXT), "length"),
        (reply("ERROR_TOXIC", content=TEXT), "refusal"),
        (reply("ERROR", content=TEXT), "error"),
        (reply(content=[]), "empty"),
        (b'{"message":"model not found"}', "error"),
        (b"[]", "error"),
        (b'{"message":{', "cut"),
    ],
)
def test_how_a_plain_reply_ended(body: bytes, reason: str) -> None:
    assert CHAT.ending("plain", body).reason == reason


def test_a_stream_is_whole_only_with_its_last_event() -> None:
    assert CHAT.ending("sse", STREAM).reason == "stop"
    for place in range(len(STREAM.rstrip())):
        assert CHAT.ending("sse", STREAM[:place]).reason == "cut"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"COMPLETE"', b'"MAX_TOKENS"', "length"),
        (b'"COMPLETE"', b'"ERROR"', "error"),
        (b'"COMPLETE"', b'"COMPLETE","error":"broke"', "error"),
        (b'"Hello"', b'""', "empty"),
        (b'"type":"content-end"', b'"message":"internal server error"', "error"),
    ],
)
def test_how_a_stream_ended(old: bytes, new: bytes, reason: str) -> None:
    assert old in STREAM
    assert CHAT.ending("sse", STREAM.replace(old, new)).reason == reason


def test_tokens() -> None:
    assert CHAT.tokens("sse", STREAM) == Tokens(input=69, output=10)
    billed = orjson.dumps({"usage": {"billed_units": {"input_tokens": 3.0, "output_tokens": 0}, "cached_tokens": 2}})
    assert CHAT.tokens("plain", billed) == Tokens(input=3, output=0, cached=2)
    assert EMBED.tokens("plain", b'{"meta":{"billed_units":{"input_tokens":4}}}') == Tokens(input=4)
    assert CHAT.tokens("plain", b"{") == RERANK.tokens("plain", b"{") == Tokens()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"results":[{"index":0,"relevance_score":0.9}]}', "stop"),
        (b'{"results":[]}', "empty"),
        (b'{"results":[{}]}', "error"),
        (b'{"message":"bad"}', "error"),
        (b'{"results":[{"index":0', "cut"),
    ],
)
def test_how_a_reranking_ended(body: bytes, reason: str) -> None:
    assert RERANK.ending("plain", body).reason == reason


def provider(body: Any) -> bytes:
    items = body.get("texts") or body.get("inputs")
    reply = {"id": "5", "embeddings": {"float": [vector(item) for item in items]}, "texts": body.get("texts", [])}
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4, "image_tokens": 0}}
    return orjson.dumps({**reply, "meta": meta, "response_type": "embeddings_by_type"})


@given(st.lists(st.sampled_from(["a", "b", "c d", "ä"]), min_size=1, max_size=9))
def test_the_order_is_kept_for_any_mix(texts: list[str]) -> None:
    reply = round_trip(EMBED, call(texts=texts, input_type="search_query", **FLOATS), provider)
    assert reply["embeddings"] == {"float": [vector(text) for text in texts]}
    assert (reply["texts"], reply["response_type"], reply["id"]) == (texts, "embeddings_by_type", "5")
    assert reply["meta"]["billed_units"] == {"input_tokens": 7, "image_tokens": 0}


def test_inputs_are_taken_apart_too() -> None:
    inputs = [{"content": [{"type": "text", "text": text}]} for text in "aba"]
    assert round_trip(EMBED, call(inputs=inputs), provider)["embeddings"]["float"] == [vector(item) for item in inputs]


def test_a_reply_without_the_provider() -> None:
    asked = call(texts=["a"], **FLOATS)
    made = orjson.loads(EMBED.join(asked, Answers([b"\xcd\xcc\xcc\x3d"], "", 3)))
    assert made["embeddings"] == {"float": [[0.1]]}
    assert made["meta"] == {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3}}
    assert made["id"] == orjson.loads(EMBED.join(asked, Answers([b"\xcd\xcc\xcc\x3d"], "", 3)))["id"]


def test_what_cannot_be_taken_apart() -> None:
    assert EMBED.split(call(texts=["a"])) == EMBED.split(call(texts=["a"], **FLOATS)) == ["a"]
    bodies: list[dict[str, Any]] = [
        {"texts": ["a"], "embedding_types": ["float", "int8"]},
        {"texts": ["a"], "embedding_types": ["binary"]},
        {"texts": ["a"], "embedding_types": None},
        {"texts": ["a"], "images": ["data:,"]},
        {"texts": ["a"], "inputs": [{"content": []}]},
        {"images": ["data:,"]},
        {"texts": []},
        {"texts": [1]},
        {"inputs": ["a"]},
        {},
    ]
    for body in bodies:
        assert EMBED.split(call(**body)) is None
    assert EMBED.split(call("/v1/embed", texts=["a"])) is None


def test_space_leaves_out_inputs_noise_and_how_vectors_are_written() -> None:
    one, other = call(texts=["a"], priority=3, **FLOATS), call(texts=["b"])
    assert EMBED.space(one) == EMBED.space(other) == {"model": "embed-v4.0"}
    assert EMBED.space(call(texts=["a"], output_dimension=8)) != EMBED.space(one)


def test_bad_replies() -> None:
    refuses_bad_replies(EMBED, lambda rows: orjson.dumps({"embeddings": {"float": rows}}))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"embeddings":{"int8":[[1]]}}', "stop"),
        (b'{"embeddings":[[0.5]]}', "stop"),
        (b'{"embeddings":{"float":[]}}', "empty"),
        (b'{"message":"bad"}', "error"),
        (b'{"embeddings":{', "cut"),
    ],
)
def test_how_embeddings_ended(body: bytes, reason: str) -> None:
    assert EMBED.ending("plain", body).reason == reason


def test_content_is_the_conversation_alone() -> None:
    hello = [{"role": "user", "content": "Hi"}]
    assert CHAT.content(call(messages=hello, seed=1)) == {"messages": hello}
    assert RERANK.content(call(query="q", documents=["d"], top_n=1)) == {"query": "q", "documents": ["d"]}
    assert EMBED.content(call(texts=["a"], input_type="x")) == {"texts": ["a"]}


def test_error_has_the_providers_shape() -> None:
    assert orjson.loads(CHAT.error(424, "nothing recorded", "not_recorded")) == {"message": "nothing recorded"}
