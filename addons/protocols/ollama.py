"""Ollama's own API: chat, generate and embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from addons.protocols import tool_ids
from addons.protocols.base import PLAIN, Answers, BadReply, Batch, Call, Ending, Protocol, Reason, Tokens
from addons.protocols.json_values import at, count, dump, form_of, named, ndjson_values, parse
from addons.protocols.vectors import pack_all, unpack

_KEEP_ALIVE = "says how long the model stays in memory afterwards"
_REASONS: Mapping[str, Reason] = {"length": "length"}
_SAID = ("content", "thinking", "tool_calls", "images", "response", "image")


class _Generated(Protocol):
    """What chat and generate share. They stream unless told not to."""

    noise: ClassVar[Mapping[str, str]] = {
        "stream": "chooses the form of the reply, not its content",
        "keep_alive": _KEEP_ALIVE,
    }

    def form(self, call: Call) -> str:
        stream = call.member("stream")
        return form_of(True if stream is None else stream, "ndjson")

    def ending(self, form: str, body: bytes) -> Ending:
        return Ending(_reason(form, body))

    def tokens(self, form: str, body: bytes) -> Tokens:
        try:
            *_, last = _pieces(form, body)
        except ValueError:  # also where there is no piece at all
            return Tokens()
        return Tokens(input=count(at(last, "prompt_eval_count")), output=count(at(last, "eval_count")))

    def error(self, status: int, message: str, code: str) -> bytes:
        return dump({"error": message})


class OllamaChat(_Generated):
    """`POST /api/chat`. Reference: https://docs.ollama.com/api"""

    name: ClassVar[str] = "ollama_chat"
    schemas: ClassVar[tuple[str, ...]] = ("format", "tools.*.function.parameters")

    def refuses(self, call: Call) -> str | None:
        # Without a message the request only loads or unloads the model, which has to happen.
        return None if call.member("messages") else "load"

    def settle(self, body: Any) -> Any:
        return tool_ids.settle(body, ["messages.*.tool_calls.*.id"], ["messages.*.tool_call_id"])

    def content(self, call: Call) -> Any:
        body = self.settle(call.body)
        return {"messages": body.get("messages")} if isinstance(body, dict) else body


class OllamaGenerate(_Generated):
    """`POST /api/generate`."""

    name: ClassVar[str] = "ollama_generate"
    schemas: ClassVar[tuple[str, ...]] = ("format",)

    def refuses(self, call: Call) -> str | None:
        return None if call.member("prompt") else "load"

    def content(self, call: Call) -> Any:
        if not isinstance(call.body, dict):
            return call.body
        told = ("system", "prompt", "suffix", "images", "context", "template")
        return {name: call.body[name] for name in told if name in call.body}


class OllamaEmbed(Batch):
    """`POST /api/embed`, and the older `POST /api/embeddings` with its one `prompt`, which is not taken apart."""

    name: ClassVar[str] = "ollama_embed"
    noise: ClassVar[Mapping[str, str]] = {"keep_alive": _KEEP_ALIVE}
    max_items: ClassVar[int] = 2048
    """A bound of ours: the server states none, and works through a request as a whole."""

    def content(self, call: Call) -> Any:
        if not isinstance(call.body, dict):
            return call.body
        return {name: call.body[name] for name in ("input", "prompt") if name in call.body}

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            reply = parse(body)
        except ValueError:
            return Ending("cut")
        vectors = at(reply, "embeddings") if isinstance(at(reply, "embeddings"), list) else at(reply, "embedding")
        if at(reply, "error") or not isinstance(vectors, list):
            return Ending("error")
        return Ending("stop" if vectors else "empty")

    def tokens(self, form: str, body: bytes) -> Tokens:
        try:
            return Tokens(input=count(at(parse(body), "prompt_eval_count")))
        except ValueError:
            return Tokens()

    def error(self, status: int, message: str, code: str) -> bytes:
        return dump({"error": message})

    def split(self, call: Call) -> list[Any] | None:
        given = call.member("input")
        items = [given] if isinstance(given, str) else given
        # The server leaves empty strings out of its answer, so they cannot be matched by position.
        if not isinstance(items, list) or not items or not all(isinstance(item, str) and item for item in items):
            return None
        return items

    def space(self, call: Call) -> Any:
        return {name: value for name, value in call.body.items() if name not in ("input", *self.noise)}

    def ask(self, call: Call, items: Sequence[Any]) -> bytes:
        lone = isinstance(call.member("input"), str) and len(items) == 1
        return dump({**call.body, "input": items[0] if lone else list(items)})

    def answers(self, body: bytes, count: int) -> Answers:
        try:
            reply = parse(body)
        except ValueError:
            raise BadReply("the provider's reply is not JSON") from None
        if not isinstance(reply, dict):
            raise BadReply("the provider's reply is not an object")
        vectors = pack_all(reply.get("embeddings"), count)
        model = reply.get("model")
        rest = {name: value for name, value in reply.items() if name != "embeddings"}
        tokens = self.tokens(PLAIN, body).input
        return Answers(vectors, model if isinstance(model, str) else "", tokens, rest)

    def join(self, call: Call, answers: Answers) -> bytes:
        rest = dict(answers.rest or {})
        rest.pop("model", None)
        rest.pop("prompt_eval_count", None)
        reply = {
            "model": answers.model or self.model(call),
            "embeddings": [unpack(vector) for vector in answers.vectors],
            **rest,
        }
        if answers.tokens:
            reply["prompt_eval_count"] = answers.tokens
        return dump(reply)


def _pieces(form: str, body: bytes) -> Iterator[Any]:
    if form == "ndjson":
        yield from ndjson_values(body)
    else:
        yield parse(body)


def _reason(form: str, body: bytes) -> Reason:
    reason: Reason = "stop"
    done = says = False
    try:
        for piece in _pieces(form, body):
            if not isinstance(piece, dict) or piece.get("error"):
                return "error"
            message = piece.get("message")
            says = says or any(piece.get(name) or at(message, name) for name in _SAID)
            done = piece.get("done") is True
            reason = named(_REASONS, piece.get("done_reason"), reason)
    except ValueError:
        return "cut"
    if not done:
        return "cut"
    return "empty" if reason == "stop" and not says else reason
