from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.protocols.base import Answers, BadReply, Call
from addons.protocols.openai_embeddings import MistralEmbeddings, OpenaiEmbeddings, VoyageEmbeddings

EMBEDDINGS = OpenaiEmbeddings()


def call(**body: Any) -> Call:
    return Call(method="POST", path="/v1/embeddings", body=body)


def vector_of(item: Any) -> list[float]:
    """Three numbers that tell one input from another, exact in float32."""
    return [byte / 256 for byte in hashlib.sha256(json.dumps(item).encode()).digest()[:3]]


def packed(values: list[float]) -> bytes:
    return np.array(values, dtype="<f4").tobytes()


def provider(body: bytes, order: list[int] | None = None) -> bytes:
    """What a provider answers, its rows in any order."""
    asked = json.loads(body)
    items = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    items = [items] if isinstance(items[0], int) else items
    rows = []
    for index, item in enumerate(items):
        values: Any = vector_of(item)
        if asked.get("encoding_format") == "base64":
            values = base64.b64encode(packed(values)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": values})
    rows = sorted(rows, key=lambda row: (order or [])[row["index"] % len(order)] if order else row["index"])
    usage = {"prompt_tokens": len(items), "total_tokens": len(items)}
    return json.dumps({"object": "list", "data": rows, "model": "m-1", "usage": usage}).encode()


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("hi", ["hi"]),
        (["hi", "ho", "hi"], ["hi", "ho", "hi"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        ([{"image": "x"}, "hi"], [{"image": "x"}, "hi"]),
        ("", None),
        ([], None),
        (["hi", ""], None),
        ([[1], []], None),
        ([[1], "hi"], None),
        ([1, "hi"], None),
        ([1.5], None),
        ([True], None),
        ([None], None),
        (None, None),
        (5, None),
        ({"a": "b"}, None),
    ],
)
def test_split(value: Any, items: list[Any] | None) -> None:
    assert EMBEDDINGS.split(call(model="m", input=value)) == items


@pytest.mark.parametrize("body", [None, [], "x", {"model": "m"}])
def test_what_has_no_input_is_not_split(body: Any) -> None:
    assert EMBEDDINGS.split(Call(method="POST", path="/", body=body)) is None
    EMBEDDINGS.content(Call(method="POST", path="/", body=body))


@pytest.mark.parametrize(
    ("member", "value", "splits"),
    [
        ("encoding_format", "float", True),
        ("encoding_format", "base64", True),
        ("encoding_format", None, True),
        ("encoding_format", "ubinary", False),
        ("encoding_format", ["float"], False),
        ("embedding_type", "base64", True),
        ("embedding_type", "binary", False),
        ("output_dtype", None, True),
        ("output_dtype", "float", True),
        ("output_dtype", "int8", False),
        ("late_chunking", False, True),
        ("late_chunking", True, False),
        ("return_multivector", True, False),
        ("dimensions", 256, True),
    ],
)
def test_only_float_vectors_of_independent_inputs_are_split(member: str, value: Any, splits: bool) -> None:
    assert (EMBEDDINGS.split(call(input=["a"], **{member: value})) is not None) is splits


def test_space_is_everything_but_the_input_and_how_vectors_are_written() -> None:
    bare = call(model="m", input="a")
    same = call(model="m", input=["b"], encoding_format="base64", user="u")
    assert EMBEDDINGS.space(bare) == EMBEDDINGS.space(same)
    for name in ("dimensions", "input_type", "task", "made_up"):
        assert EMBEDDINGS.space(call(model="m", input="a", **{name: 1})) != EMBEDDINGS.space(bare)
    deployed = [
        Call(method="POST", path="/", params={"deployment": name}, body={"input": "a", "model": "m"})
        for name in ("one", "two")
    ]
    assert EMBEDDINGS.space(deployed[0]) != EMBEDDINGS.space(deployed[1])


def test_forms_differ_as_vectors_are_written() -> None:
    written = [None, "base64", "ubinary", ["float"], 1]
    assert EMBEDDINGS.form(call(input="a", encoding_format="float")) == EMBEDDINGS.form(call(input="a"))
    assert len({EMBEDDINGS.form(call(input="a", encoding_format=value)) for value in written}) == len(written)


def test_ask_changes_the_input_alone() -> None:
    single = call(model="m", input="a", user="u")
    assert EMBEDDINGS.ask(single, ["a"]) == b'{"model":"m","input":"a","user":"u"}'
    assert EMBEDDINGS.ask(call(input=[1, 2]), [[1, 2]]) == b'{"input":[1,2]}'
    many = call(input=["a", "b"], made_up={"x": 10**30})
    assert json.loads(EMBEDDINGS.ask(many, ["b"])) == {"input": ["b"], "made_up": {"x": 10**30}}
    assert json.loads(EMBEDDINGS.ask(call(input=["\ud800", "b"]), ["\ud800"]))["input"] == ["\ud800"]


TEXTS = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6)
TOKENS = st.lists(st.integers(0, 9), min_size=1, max_size=3)
INPUTS = st.one_of(st.text(min_size=1, max_size=3), TEXTS, TOKENS, st.lists(TOKENS, min_size=1, max_size=6))


@given(INPUTS, st.sets(st.integers(0, 5)), st.lists(st.integers(), min_size=1), st.sampled_from([None, "base64"]))
def test_the_clients_order_is_kept(value: Any, known: set[int], order: list[int], written: str | None) -> None:
    """Some inputs are known; each other one is asked for once, and rows come back in any order."""
    asked = call(model="m", input=value, **({"encoding_format": written} if written else {}))
    items = EMBEDDINGS.split(asked)
    assert items is not None
    names = [json.dumps(item) for item in items]
    vectors = {names[index]: packed(vector_of(items[index])) for index in known if index < len(items)}
    missing = {name: item for name, item in zip(names, items, strict=True) if name not in vectors}
    rest = None
    if missing:
        reply = provider(EMBEDDINGS.ask(asked, list(missing.values())), order)
        answers = EMBEDDINGS.answers(reply, len(missing))
        vectors |= dict(zip(missing, answers.vectors, strict=True))
        assert answers.tokens == len(missing)
        rest = answers.rest
    merged = EMBEDDINGS.join(asked, Answers([vectors[name] for name in names], "m-1", len(items), rest))
    assert json.loads(merged) == json.loads(provider(EMBEDDINGS.ask(asked, items)))


def test_a_string_is_not_its_look_alike_token_list() -> None:
    (text,), (tokens,) = EMBEDDINGS.split(call(input="[1]")) or [], EMBEDDINGS.split(call(input=[1])) or []
    assert json.dumps(text) != json.dumps(tokens)


def reply(*rows: Any, **more: Any) -> bytes:
    return json.dumps({"data": list(rows), **more}).encode()


def row(index: Any, *values: Any) -> dict[str, Any]:
    return {"index": index, "embedding": list(values)}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data": {"a": 1}}',
        reply(),
        reply(row(0, 1.0)),
        reply(row(0, 1.0), row(1, 1.0), row(2, 1.0)),
        reply(row(0, 1.0), row(0, 1.0)),
        reply(row(0, 1.0), row(2, 1.0)),
        reply(row(1, 1.0), row(2, 1.0)),
        reply(row(0, 1.0), {"embedding": [1.0]}),
        reply(row(False, 1.0), row(True, 1.0)),
        reply(row("0", 1.0), row("1", 1.0)),
        reply(row(0, 1.0), row(1, 1.0, 2.0)),
        reply(row(0), row(1)),
        reply(row(0, 1.0), row(1, "1.0")),
        reply(row(0, 1.0), row(1, True)),
        reply(row(0, 1.0), row(1, None)),
        reply(row(0, 1.0), row(1, [1.0])),
        reply(row(0, 1.0), row(1, 1e300)),
        reply(row(0, 1.0), row(1, float("nan"))),
        reply(row(0, 1.0), row(1, float("inf"))),
        reply(row(0, 1.0), {"index": 1, "embedding": "####"}),
        reply(row(0, 1.0), {"index": 1, "embedding": ""}),
        reply(row(0, 1.0), {"index": 1, "embedding": "AAAA"}),
        reply(row(0, 1.0), {"index": 1, "embedding": base64.b64encode(packed([float("nan")])).decode()}),
        reply(row(0, 1.0), 7),
    ],
)
def test_bad_replies_are_refused(body: bytes) -> None:
    with pytest.raises(BadReply):
        EMBEDDINGS.answers(body, 2)


def test_answers_by_index_or_by_position() -> None:
    numbered = EMBEDDINGS.answers(reply(row(1, 2), row(0, 1), model="m", usage={"total_tokens": 3}), 2)
    assert (numbered.vectors, numbered.model, numbered.tokens) == ([packed([1]), packed([2])], "m", 3)
    positional = EMBEDDINGS.answers(reply({"embedding": [1]}, {"embedding": "AAAAQA=="}), 2)
    assert (positional.vectors, positional.model, positional.tokens) == ([packed([1]), packed([2])], "", None)


def test_join_keeps_the_providers_layout() -> None:
    body = (
        b'{"id":"x","data":[{"embedding":[0.1,-2.5],"index":0,"object":"embedding"}],'
        b'"model":"m","usage":{"total_tokens":2}}'
    )
    answers = EMBEDDINGS.answers(body, 1)
    assert EMBEDDINGS.join(call(input="a"), answers) == body
    twice = Answers([answers.vectors[0]] * 2, "m", 4, answers.rest)
    assert EMBEDDINGS.join(call(input=["a", "a"]), twice) == (
        b'{"id":"x","data":[{"embedding":[0.1,-2.5],"index":0,"object":"embedding"},'
        b'{"embedding":[0.1,-2.5],"index":1,"object":"embedding"}],"model":"m","usage":{"total_tokens":4}}'
    )
    assert answers.rest == EMBEDDINGS.answers(body, 1).rest


def test_join_without_the_provider() -> None:
    known = Answers([packed([0.1])], "m", 7)
    assert EMBEDDINGS.join(call(input="a"), known) == (
        b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1]}],'
        b'"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}'
    )
    encoded = json.loads(EMBEDDINGS.join(call(input="a", encoding_format="base64"), known))
    assert base64.b64decode(encoded["data"][0]["embedding"]) == packed([0.1])
    encoded = json.loads(EMBEDDINGS.join(call(input="a", embedding_type="base64"), known))
    assert base64.b64decode(encoded["data"][0]["embedding"]) == packed([0.1])


def test_mistral_and_voyage_have_their_own_layout() -> None:
    known = Answers([packed([0.5])], "m", 7)
    mistral = json.loads(MistralEmbeddings().join(call(input="a"), known))
    assert mistral["id"]
    assert mistral["usage"] == {"prompt_tokens": 7, "total_tokens": 7, "completion_tokens": 0}
    voyage = json.loads(VoyageEmbeddings().join(call(input="a"), known))
    assert voyage["usage"] == {"total_tokens": 7}
    assert json.loads(VoyageEmbeddings().join(call(input="b"), Answers([packed([1])], "m", 9)))["usage"] == {
        "total_tokens": 9
    }
