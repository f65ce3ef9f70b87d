"""Gemini's embeddings, one by one and in batches."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from addons.protocols.base import Answers, Call, Tokens
from addons.protocols.gemini_embed import GeminiBatchEmbed, GeminiEmbed
from tests.unit.batches import refuses_bad_replies, round_trip, vector

BATCH = GeminiBatchEmbed()
EMBED = GeminiEmbed()
PATH = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
MODEL = "models/gemini-embedding-001"


def request(text: str, **members: Any) -> dict[str, Any]:
    return {"model": MODEL, "content": {"parts": [{"text": text}]}, **members}


def call(*requests: Any, **members: Any) -> Call:
    return Call("POST", PATH, body={"requests": list(requests), **members})


def provider(body: Any) -> bytes:
    assert all(asked["model"] == MODEL for asked in body["requests"])
    items = [{name: value for name, value in asked.items() if name != "model"} for asked in body["requests"]]
    usage = {"promptTokenCount": 4, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 4}]}
    return orjson.dumps({"embeddings": [{"values": vector(item)} for item in items], "usageMetadata": usage})


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["RETRIEVAL_QUERY", "CLUSTERING"])), min_size=1))
def test_the_order_is_kept_for_any_mix(asked: list[tuple[str, str]]) -> None:
    reply = round_trip(BATCH, call(*[request(text, taskType=kind) for text, kind in asked]), provider)
    assert reply["usageMetadata"] == {
        "promptTokenCount": 7,
        "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 7}],
    }


def test_a_reply_without_the_provider() -> None:
    reply = BATCH.join(call(request("a")), Answers([b"\xcd\xcc\xcc\x3d"], "", 0))
    assert reply == b'{"embeddings":[{"values":[0.1]}]}'


def test_items_are_what_makes_a_vector() -> None:
    assert BATCH.split(call(request("a", title="t"))) == [{"content": {"parts": [{"text": "a"}]}, "title": "t"}]
    assert BATCH.space(call(request("a"))) == {"model": "gemini-embedding-001", "rest": {}}
    assert BATCH.space(call(request("a"), new=1)) != BATCH.space(call(request("a")))


def test_what_cannot_be_taken_apart() -> None:
    sized = request("a", outputDimensionality=8)
    assert BATCH.split(call(sized, sized)) is not None
    bodies: list[Any] = [
        {"requests": []},
        {"requests": [sized, request("b")]},
        {"requests": [request("a"), "b"]},
        {"requests": [request("a"), {"model": MODEL}]},
        {"requests": [{**request("a"), "model": "models/other"}]},
        {"requests": [{**request("a"), "model": 5}]},
        {},
        None,
    ]
    for body in bodies:
        assert BATCH.split(Call("POST", PATH, body=body)) is None


def test_bad_replies() -> None:
    refuses_bad_replies(BATCH, lambda rows: orjson.dumps({"embeddings": [{"values": row} for row in rows]}))


def test_endings_and_tokens() -> None:
    one = b'{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":3}}'
    assert EMBED.ending("plain", one).reason == "stop"
    assert EMBED.tokens("plain", one) == Tokens(input=3)
    assert EMBED.ending("plain", one[:-1]).reason == BATCH.ending("plain", b"").reason == "cut"
    assert EMBED.ending("plain", b'{"embedding":{}}').reason == "empty"
    assert BATCH.ending("plain", b'{"embeddings":[]}').reason == "empty"
    assert EMBED.ending("plain", b'{"error":{}}').reason == "error"
    assert BATCH.ending("plain", b'{"embeddings":[1]}').reason == "error"
    assert EMBED.tokens("plain", b"{") == Tokens()


def test_content_is_the_input_alone() -> None:
    assert BATCH.content(call(request("a", taskType="X"))) == BATCH.content(call(request("a")))
    one = Call("POST", PATH, body={"content": {"parts": []}, "taskType": "X"})
    assert EMBED.content(one) == {"content": {"parts": []}}
