"""Embeddings of Google's Gemini API: one content or a batch of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from addons.protocols.base import PLAIN, Answers, BadReply, Batch, Call, Ending, Tokens
from addons.protocols.gemini import Gemini
from addons.protocols.json_values import at, count, dump, objects, parse
from addons.protocols.vectors import pack_all, unpack

_OWN = ("content", "taskType", "task_type", "title")
"""Members of a request in a batch that may differ from its neighbours' and leave all vectors of one length."""


class GeminiEmbed(Gemini):
    """`…/models/{model}:embedContent`. Reference: https://ai.google.dev/api/embeddings"""

    name: ClassVar[str] = "gemini_embed"

    def content(self, call: Call) -> Any:
        return {"content": call.member("content")} if isinstance(call.body, dict) else call.body

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            reply = parse(body)
        except ValueError:
            return Ending("cut")
        values = at(reply, "embedding", "values")
        if at(reply, "error") or not isinstance(at(reply, "embedding"), dict):
            return Ending("error")
        return Ending("stop" if values else "empty")

    def tokens(self, form: str, body: bytes) -> Tokens:
        return _tokens(body)


class GeminiBatchEmbed(Gemini, Batch):
    """`…/models/{model}:batchEmbedContents`; replies are in the order of the requests."""

    name: ClassVar[str] = "gemini_batch_embed"
    max_items: ClassVar[int] = 100

    def content(self, call: Call) -> Any:
        requests = call.member("requests")
        if not isinstance(requests, list):
            return call.body
        return {"requests": [{"content": at(request, "content")} for request in requests]}

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            reply = parse(body)
        except ValueError:
            return Ending("cut")
        vectors = at(reply, "embeddings")
        if at(reply, "error") or not isinstance(vectors, list) or len(objects(vectors)) != len(vectors):
            return Ending("error")
        return Ending("stop" if vectors else "empty")

    def tokens(self, form: str, body: bytes) -> Tokens:
        return _tokens(body)

    def split(self, call: Call) -> list[Any] | None:
        requests = call.member("requests")
        if not isinstance(requests, list) or not requests:
            return None
        if not all(isinstance(request, dict) and request.get("content") for request in requests):
            return None
        # What sets the length of a vector has to be the same for all, and so has what we do not know.
        common = [{name: value for name, value in request.items() if name not in _OWN} for request in requests]
        model = common[0].get("model", self.model(call))
        if any(other != common[0] for other in common) or not isinstance(model, str):
            return None
        if model.rpartition("/")[2] != self.model(call).rpartition("/")[2]:
            return None
        return [{name: value for name, value in request.items() if name != "model"} for request in requests]

    def space(self, call: Call) -> Any:
        rest = {name: value for name, value in call.body.items() if name != "requests"}
        return {"model": self.model(call), "rest": rest}

    def ask(self, call: Call, items: Sequence[Any]) -> bytes:
        first = call.body["requests"][0]
        model = {"model": first["model"]} if "model" in first else {}
        return dump({**call.body, "requests": [{**model, **item} for item in items]})

    def answers(self, body: bytes, count: int) -> Answers:
        try:
            reply = parse(body)
        except ValueError:
            raise BadReply("the provider's reply is not JSON") from None
        rows = at(reply, "embeddings")
        values = [at(row, "values") for row in rows] if isinstance(rows, list) else rows
        vectors = pack_all(values, count)
        rest = {name: value for name, value in reply.items() if name != "embeddings"}
        return Answers(vectors, "", self.tokens(PLAIN, body).input, rest)

    def join(self, call: Call, answers: Answers) -> bytes:
        reply = {"embeddings": [{"values": unpack(vector)} for vector in answers.vectors], **(answers.rest or {})}
        if answers.tokens:
            reply["usageMetadata"] = _usage(at(reply, "usageMetadata"), answers.tokens)
        return dump(reply)


def _tokens(body: bytes) -> Tokens:
    try:
        usage = at(parse(body), "usageMetadata")
    except ValueError:
        return Tokens()
    return Tokens(input=count(at(usage, "promptTokenCount")))


def _usage(reported: Any, tokens: int) -> dict[str, Any]:
    """The usage of the whole request, its details kept where they are about one kind of input."""
    usage = dict(reported) if isinstance(reported, dict) else {}
    for name in ("promptTokenDetails", "promptTokensDetails"):
        if name in usage:
            details = objects(usage.pop(name))
            if len(details) == 1:
                usage[name] = [{**details[0], "tokenCount": tokens}]
    return {**usage, "promptTokenCount": tokens}
