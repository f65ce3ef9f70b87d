"""OpenAI's embeddings, also as served by Azure, Mistral, Voyage, Jina, Ollama, vLLM and others."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import orjson

from addons.protocols.base import PLAIN, Answers, BadReply, Batch, Call, Reason
from addons.protocols.json_values import at, count, dump, objects
from addons.protocols.openai import LABELS, Openai, Parts, tag
from addons.protocols.vectors import pack, unpack

_WRITTEN = ("encoding_format", "embedding_type")
"""Where a request may say how vectors are written, OpenAI's name first, then Jina's."""

# Voyage and Mistral, DashScope, vLLM: anything else than the first value gives other numbers than float32.
_NUMBERS: Mapping[str, tuple[Any, ...]] = {
    "encoding_format": (None, "float", "base64"),
    "embedding_type": (None, "float", "base64"),
    "output_dtype": (None, "float"),
    "output_type": (None, "dense"),
    "embed_dtype": (None, "float32"),
    "endianness": (None, "little", "native"),
}

# Jina: with late chunking the inputs are one text, with multivectors a vector is a matrix.
_TOGETHER = ("late_chunking", "return_multivector")


class OpenaiEmbeddings(Openai, Batch):
    """`POST /v1/embeddings`. Reference: https://platform.openai.com/docs/api-reference/embeddings."""

    name: ClassVar[str] = "openai_embeddings"
    max_items: ClassVar[int] = 2048
    noise: ClassVar[Mapping[str, str]] = {
        **LABELS,
        "encoding_format": "chooses how the vectors are written, which is the form of the reply",
    }
    template: ClassVar[Mapping[str, Any]] = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": None}],
        "model": "",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }
    """A reply as the provider lays it out, for when it was not asked at all."""

    def form(self, call: Call) -> str:
        written = call.member("encoding_format")
        if written in (None, "float"):
            return PLAIN
        return "base64" if written == "base64" else f"as+{tag(written)}"

    def content(self, call: Call) -> Any:
        return call.body["input"] if isinstance(call.body, dict) and "input" in call.body else call.body

    def reason(self, parts: Parts) -> Reason:
        if parts.streamed:
            return "cut"
        return "stop" if any(objects(at(value, "data")) for _, value in parts.values) else "empty"

    def split(self, call: Call) -> list[Any] | None:
        if not isinstance(call.body, dict) or any(call.body.get(name) for name in _TOGETHER):
            return None
        for name, values in _NUMBERS.items():
            if call.body.get(name) not in values:
                return None
        return _items(call.body.get("input"))

    def space(self, call: Call) -> Any:
        beside = {"input", *self.noise, *_WRITTEN}
        body = {name: value for name, value in call.body.items() if name not in beside}
        return {"body": body, "params": dict(call.params)}

    def ask(self, call: Call, items: Sequence[Any]) -> bytes:
        single = len(items) == 1 and _is_single(call.body["input"])
        return dump({**call.body, "input": items[0] if single else list(items)})

    def answers(self, body: bytes, count: int) -> Answers:
        try:
            reply = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadReply(f"the provider's reply is not JSON: {error}") from None
        rows = _in_order(at(reply, "data"), count)
        vectors = [_vector(row.get("embedding")) for row in rows]
        if len({len(vector) for vector in vectors}) > 1:
            raise BadReply("the provider's reply holds embeddings of unequal dimensions")
        model = reply.get("model")
        layout = {**rows[0], "embedding": None}
        row = {name: value for name, value in layout.items() if name in ("object", "index", "embedding")}
        return Answers(
            vectors=vectors,
            model=model if isinstance(model, str) else "",
            tokens=_tokens(reply.get("usage")),
            rest={**reply, "data": [row]},
        )

    def join(self, call: Call, answers: Answers) -> bytes:
        reply = copy.deepcopy(dict(answers.rest or self.unasked(answers)))
        (row,) = reply["data"]
        encoded = any(call.member(name) == "base64" for name in _WRITTEN)
        reply["data"] = [
            {**row, **({"index": index} if "index" in row else {}), "embedding": _written(vector, encoded)}
            for index, vector in enumerate(answers.vectors)
        ]
        if answers.model and "model" in reply:
            reply["model"] = answers.model
        if isinstance(reply.get("usage"), dict) and answers.tokens is not None:
            for name in ("prompt_tokens", "total_tokens"):
                if name in reply["usage"]:
                    reply["usage"][name] = answers.tokens
        return dump(reply)

    def unasked(self, answers: Answers) -> Mapping[str, Any]:
        """The reply's layout where all of it comes from the store."""
        return self.template


class MistralEmbeddings(OpenaiEmbeddings):
    """Mistral's reply has an id, without which its own SDK does not read it.

    Reference: https://docs.mistral.ai/api (embeddings).
    """

    name: ClassVar[str] = "mistral_embeddings"
    template: ClassVar[Mapping[str, Any]] = {
        "id": "",
        "object": "list",
        "data": [{"object": "embedding", "embedding": None, "index": 0}],
        "model": "",
        "usage": {"prompt_tokens": 0, "total_tokens": 0, "completion_tokens": 0},
    }

    def unasked(self, answers: Answers) -> Mapping[str, Any]:
        name = hashlib.sha256(b"".join((answers.model.encode(), *answers.vectors))).hexdigest()
        return {**self.template, "id": name[:32]}


class VoyageEmbeddings(OpenaiEmbeddings):
    """Voyage counts all tokens in one number. Reference: https://docs.voyageai.com/reference/embeddings-api."""

    name: ClassVar[str] = "voyage_embeddings"
    max_items: ClassVar[int] = 1000
    template: ClassVar[Mapping[str, Any]] = {
        "object": "list",
        "data": [{"object": "embedding", "embedding": None, "index": 0}],
        "model": "",
        "usage": {"total_tokens": 0},
    }


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


def _is_single(value: Any) -> bool:
    return not isinstance(value, list) or _is_tokens(value)


def _items(value: Any) -> list[Any] | None:
    """The inputs one by one; None where any of them is empty or the kinds are mixed up."""
    if (isinstance(value, str) and value) or _is_tokens(value):
        return [value]
    if not isinstance(value, list) or not value:
        return None
    # Jina takes `{"image": …}` and texts side by side.
    texts = all(isinstance(item, str | dict) and item for item in value)
    return list(value) if texts or all(_is_tokens(item) for item in value) else None


def _in_order(data: Any, expected: int) -> list[dict[str, Any]]:
    """The reply's rows by their index, or as they stand if none has one; raises BadReply."""
    rows = objects(data)
    if not isinstance(data, list) or len(rows) != len(data):
        raise BadReply("the provider's reply holds no list of embeddings")
    if not rows or len(rows) != expected:
        raise BadReply(f"the provider's reply holds {len(rows)} embeddings where {expected} were asked for")
    indexes: list[Any] = [row.get("index") for row in rows]
    if all(index is None for index in indexes):
        return rows
    if any(type(index) is not int for index in indexes) or sorted(indexes) != list(range(expected)):
        raise BadReply("the provider's reply numbers its embeddings wrongly: an index is missing or repeated")
    return sorted(rows, key=lambda row: int(row["index"]))


def _vector(value: Any) -> bytes:
    """One embedding as the provider wrote it, numbers or base64 of little-endian float32; raises BadReply."""
    if not isinstance(value, str):
        return pack(value)
    try:
        packed = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise BadReply("the provider's reply holds an embedding that is not base64") from None
    if not packed or len(packed) % 4:
        raise BadReply("the provider's reply holds an embedding that is not made of float32 numbers")
    if not np.isfinite(unpack(packed)).all():
        raise BadReply("the provider's reply holds an embedding with NaN or infinite numbers")
    return packed


def _written(vector: bytes, encoded: bool) -> Any:
    return base64.b64encode(vector).decode("ascii") if encoded else unpack(vector)


def _tokens(usage: Any) -> int | None:
    prompt = count(at(usage, "prompt_tokens"))
    return count(at(usage, "total_tokens")) if prompt is None else prompt
