"""Cohere's API, version 2: chat, embeddings and reranking."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from addons.protocols import tool_ids
from addons.protocols.base import Answers, BadReply, Batch, Call, Ending, Protocol, Reason, Tokens
from addons.protocols.json_values import at, count, dump, form_of, named, objects, parse, sse_values
from addons.protocols.vectors import pack_all, unpack

_PRIORITY = "orders the provider's queue; the model does not see it"
_REASONS: Mapping[str, Reason] = {
    "MAX_TOKENS": "length",
    "ERROR_TOXIC": "refusal",
    "ERROR": "error",
    "ERROR_LIMIT": "error",
    "TIMEOUT": "error",
    "USER_CANCEL": "cut",
}
_SAID = ("text", "thinking", "tool_plan", "tool_calls")


class _Cohere(Protocol):
    """What all of Cohere's endpoints share."""

    def tokens(self, form: str, body: bytes) -> Tokens:
        try:
            return _tokens(at(parse(body), "meta"))
        except ValueError:
            return Tokens()

    def error(self, status: int, message: str, code: str) -> bytes:
        return dump({"message": message})


class CohereChat(_Cohere):
    """`POST /v2/chat`. Reference: https://docs.cohere.com/reference/chat and …/chat-stream."""

    name: ClassVar[str] = "cohere_chat"
    noise: ClassVar[Mapping[str, str]] = {
        "stream": "chooses the form of the reply, not its content",
        "priority": _PRIORITY,
    }
    schemas: ClassVar[tuple[str, ...]] = (
        "tools.*.function.parameters",
        "response_format.json_schema",
        "response_format.schema",
    )

    def form(self, call: Call) -> str:
        return form_of(call.member("stream"), "sse")

    def settle(self, body: Any) -> Any:
        return tool_ids.settle(body, ["messages.*.tool_calls.*.id"], ["messages.*.tool_call_id"])

    def content(self, call: Call) -> Any:
        body = self.settle(call.body)
        if not isinstance(body, dict):
            return body
        return {name: body[name] for name in ("messages", "documents") if name in body}

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            return Ending(_stream_reason(sse_values(body)) if form == "sse" else _plain_reason(parse(body)))
        except ValueError:
            return Ending("cut")

    def tokens(self, form: str, body: bytes) -> Tokens:
        usage: Any = None
        try:
            for value in sse_values(body) if form == "sse" else [parse(body)]:
                usage = at(value, "usage") or at(value, "delta", "usage") or usage
        except ValueError:
            return Tokens()
        return _tokens(usage)


class CohereRerank(_Cohere):
    """`POST /v2/rerank`. Reference: https://docs.cohere.com/reference/rerank"""

    name: ClassVar[str] = "cohere_rerank"
    noise: ClassVar[Mapping[str, str]] = {"priority": _PRIORITY}

    def content(self, call: Call) -> Any:
        if not isinstance(call.body, dict):
            return call.body
        return {name: call.body[name] for name in ("query", "documents") if name in call.body}

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            results = at(parse(body), "results")
        except ValueError:
            return Ending("cut")
        if not isinstance(results, list) or not all(isinstance(at(result, "index"), int) for result in results):
            return Ending("error")
        return Ending("stop" if results else "empty")


class CohereEmbed(_Cohere, Batch):
    """`POST /v2/embed`. Taken apart for texts (or `inputs`) when float vectors alone are asked for.

    Reference: https://docs.cohere.com/reference/embed
    """

    name: ClassVar[str] = "cohere_embed"
    noise: ClassVar[Mapping[str, str]] = {"priority": _PRIORITY}
    max_items: ClassVar[int] = 96

    def content(self, call: Call) -> Any:
        if not isinstance(call.body, dict):
            return call.body
        return {name: call.body[name] for name in ("texts", "images", "inputs") if name in call.body}

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            vectors = at(parse(body), "embeddings")
        except ValueError:
            return Ending("cut")
        if not isinstance(vectors, dict | list):
            return Ending("error")
        kinds = list(vectors.values()) if isinstance(vectors, dict) else [vectors]
        return Ending("stop" if any(kinds) else "empty")

    def split(self, call: Call) -> list[Any] | None:
        # Version 1 answers in another shape unless told otherwise.
        if not isinstance(call.body, dict) or call.path.endswith("/v1/embed"):
            return None
        if call.body.get("embedding_types", ["float"]) != ["float"]:
            return None
        given = [name for name in ("texts", "inputs", "images") if call.body.get(name) is not None]
        items = call.body.get(given[0]) if given in (["texts"], ["inputs"]) else None
        kind = str if given == ["texts"] else dict
        if not isinstance(items, list) or not items or not all(isinstance(item, kind) for item in items):
            return None
        return items

    def space(self, call: Call) -> Any:
        apart = ("texts", "inputs", "images", "embedding_types", *self.noise)
        return {name: value for name, value in call.body.items() if name not in apart}

    def ask(self, call: Call, items: Sequence[Any]) -> bytes:
        return dump({**call.body, _inputs_name(call): list(items)})

    def answers(self, body: bytes, count: int) -> Answers:
        try:
            reply = parse(body)
        except ValueError:
            raise BadReply("the provider's reply is not JSON") from None
        vectors = pack_all(at(reply, "embeddings", "float"), count)
        rest = {name: value for name, value in reply.items() if name not in ("embeddings", "texts")}
        return Answers(vectors, "", _tokens(reply.get("meta")).input, rest)

    def join(self, call: Call, answers: Answers) -> bytes:
        rest = dict(answers.rest or {})
        meta = dict(at(rest, "meta") or {"api_version": {"version": "2"}})
        if answers.tokens:
            for name in {"billed_units", "tokens" if "tokens" in meta else "billed_units"}:
                meta[name] = {**(at(meta, name) or {}), "input_tokens": answers.tokens}
        reply = {
            "id": _reply_id(answers.vectors),
            "embeddings": {"float": [unpack(vector) for vector in answers.vectors]},
            "texts": call.member("texts") or [],
            "response_type": "embeddings_by_type",
            **rest,
            "meta": meta,
        }
        return dump(reply)


def _inputs_name(call: Call) -> str:
    return "texts" if call.member("texts") is not None else "inputs"


def _reply_id(vectors: Sequence[bytes]) -> str:
    """An id for a reply the provider took no part in; clients insist on one. The same for the same reply."""
    return str(uuid.UUID(bytes=hashlib.sha256(b"".join(vectors)).digest()[:16]))


def _tokens(usage: Any) -> Tokens:
    """From `usage` or `meta`: the tokens processed, or where these are not told, those billed."""
    processed, billed = at(usage, "tokens"), at(usage, "billed_units")
    read, written = (
        next((number for part in (processed, billed) if (number := count(at(part, name))) is not None), None)
        for name in ("input_tokens", "output_tokens")
    )
    return Tokens(input=read, output=written, cached=count(at(usage, "cached_tokens")))


def _plain_reason(reply: Any) -> Reason:
    message = at(reply, "message")
    if not isinstance(message, dict):
        return "error"
    reason = named(_REASONS, reply.get("finish_reason"), "stop")
    says = any(map(_says_something, objects(message.get("content")))) or _says_something(message)
    return "empty" if reason == "stop" and not says else reason


def _stream_reason(events: Iterator[Any]) -> Reason:
    """How a streamed reply ended; only `message-end` is an end."""
    reason: Reason = "cut"
    says = False
    for event in events:
        kind, delta = at(event, "type"), at(event, "delta")
        if kind is None or at(delta, "error") or at(event, "error"):
            return "error"
        if kind == "message-end":
            reason = named(_REASONS, at(delta, "finish_reason"), "stop")
        message = at(delta, "message")
        says = says or _says_something(message) or _says_something(at(message, "content"))
    return "empty" if reason == "stop" and not says else reason


def _says_something(value: Any) -> bool:
    return any(at(value, name) for name in _SAID)
