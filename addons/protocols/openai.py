"""What the OpenAI-shaped protocols have in common: forms, noise, how a reply comes apart, usage, errors."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from addons.protocols.base import PLAIN, Call, Ending, Protocol, Reason, Tokens
from addons.protocols.events import read_sse
from addons.protocols.json_values import at, count, dump, objects, parse

SSE = "sse"
DONE = "[DONE]"

_STREAM_PATH = ":streamRawPredict"
"""How Vertex AI asks for a stream, in the path; `:rawPredict` is the same in one piece."""

_LABEL = "a label for the caller's own books; the model does not see it"
_CACHING = "says what the provider's prompt cache keeps; the prompt is the same"
_FORM = "chooses the form of the reply, not the answer"

# `service_tier` is not noise: the reply names its tier and is billed by it.
LABELS: Mapping[str, str] = {
    "user": _LABEL,
    "metadata": _LABEL,
    "safety_identifier": _LABEL,
}
STREAMING: Mapping[str, str] = {"stream": _FORM, "stream_options": _FORM}
PROMPT_CACHE: Mapping[str, str] = {
    "prompt_cache_key": _CACHING,
    "prompt_cache_retention": _CACHING,
    # Its other members change the reply: `prewarm` generates nothing, a comparison adds diagnostics.
    "prompt_cache_options.mode": _CACHING,
    "prompt_cache_options.ttl": _CACHING,
    "cache_control": _CACHING,
    "tools.*.cache_control": _CACHING,
    "tools.*.function.cache_control": _CACHING,
}


def cache_hints(*parts: str) -> dict[str, str]:
    """Noise entries for the prompt-cache hints that may stand on each of these content parts."""
    return {f"{part}.{hint}": _CACHING for part in parts for hint in ("cache_control", "prompt_cache_breakpoint")}


def tag(value: Any) -> str:
    """A short name that differs for different JSON values."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        text = repr(value).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:12]


def stream_form(call: Call) -> str:
    """`plain`, `sse`, `sse+usage`, with a tag behind it for options that are not known.

    Known options: https://platform.openai.com/docs/api-reference/chat/create (stream_options).
    """
    stream, options = call.member("stream"), call.member("stream_options")
    if call.path.endswith(_STREAM_PATH):
        stream = True
    if stream is None or stream is False:
        return PLAIN
    form = SSE if stream is True else f"{SSE}+{tag(stream)}"
    if options is None:
        return form
    if not isinstance(options, dict):
        return f"{form}+{tag(options)}"
    # Obfuscation pads each chunk against onlookers; no reader looks at it.
    rest = {name: value for name, value in options.items() if name != "include_obfuscation" and value}
    if rest.get("include_usage") is True:
        del rest["include_usage"]
        form += "+usage"
    return f"{form}+{tag(rest)}" if rest else form


@dataclass(frozen=True, slots=True)
class Parts:
    """A reply taken apart: one JSON value, or the events of a stream up to `[DONE]`."""

    values: tuple[tuple[str, Any], ...]
    """Event name (empty for a reply in one piece) and JSON value of each part that could be read."""

    streamed: bool
    readable: bool
    """Whether every part is JSON."""

    done: bool
    """Whether `[DONE]` was seen."""


def take_apart(body: bytes) -> Parts:
    """Read a reply as what it is, since some providers answer a streamed request in one piece."""
    if body.lstrip()[:1] in (b"", b"{", b"["):
        try:
            return Parts((("", parse(body)),), streamed=False, readable=True, done=False)
        except ValueError:
            return Parts((), streamed=False, readable=False, done=False)
    events, pending = read_sse(body)
    if pending and pending.data == DONE:
        # Nothing but a line end is missing, and every client has stopped reading by now.
        events.append(pending)
    values: list[tuple[str, Any]] = []
    readable = True
    for event, data in events:
        if data.startswith(DONE):
            return Parts(tuple(values), streamed=True, readable=readable, done=True)
        if not data:
            continue
        try:
            values.append((event, parse(data)))
        except ValueError:
            readable = False
    return Parts(tuple(values), streamed=True, readable=readable, done=False)


def failed(event: str, value: Any) -> bool:
    """Whether a part of a 2xx reply reports an error: OpenAI's, vLLM's and Groq's ways to say so."""
    if event == "error" or not isinstance(value, dict):
        return event == "error"
    kinds = (value.get("object"), value.get("type"))
    return bool(value.get("error") or "error" in kinds or at(value, "x_groq", "error"))


def _usages(value: Any) -> Iterator[Any]:
    """Where usage may stand in one part: on top, in a Responses event, at Groq and at Moonshot."""
    yield at(value, "usage")
    yield at(value, "response", "usage")
    yield at(value, "x_groq", "usage")
    for choice in objects(at(value, "choices")):
        yield choice.get("usage")


def read_usage(usage: Any) -> Tokens:
    """Tokens from a usage object under any of the names in use among OpenAI-shaped providers."""

    def first(*paths: tuple[str, ...]) -> int | None:
        return next((found for path in paths if (found := count(at(usage, *path))) is not None), None)

    output = first(("completion_tokens",), ("output_tokens",))
    # Embeddings have no output; Voyage gives nothing but the total.
    only = (("total_tokens",),) if output is None else ()
    return Tokens(
        input=first(("prompt_tokens",), ("input_tokens",), *only),
        output=output,
        cached=first(
            ("prompt_tokens_details", "cached_tokens"),
            ("input_tokens_details", "cached_tokens"),
            ("prompt_cache_hit_tokens",),
            ("num_cached_tokens",),
            ("cached_tokens",),
        ),
        reasoning=first(
            ("completion_tokens_details", "reasoning_tokens"),
            ("output_tokens_details", "reasoning_tokens"),
            ("reasoning_tokens",),
        ),
    )


class Openai(Protocol):
    """Base of the OpenAI-shaped protocols. Reference: https://platform.openai.com/docs/api-reference."""

    # Organization and project choose who pays. The rest switch models' abilities or filters on:
    # OpenRouter for Claude's betas, Groq's compound systems, Bedrock's guardrails, DashScope's inspection.
    key_headers: ClassVar[tuple[str, ...]] = (
        "openai-beta",
        "x-anthropic-beta",
        "groq-model-version",
        "x-amzn-bedrock-guardrailidentifier",
        "x-amzn-bedrock-guardrailversion",
        "x-dashscope-datainspection",
    )

    def form(self, call: Call) -> str:
        return stream_form(call)

    def operation(self, call: Call) -> str:
        return call.path.replace(_STREAM_PATH, ":rawPredict")

    def model(self, call: Call) -> str:
        return super().model(call) or call.params.get("deployment", "")

    @abstractmethod
    def reason(self, parts: Parts) -> Reason:
        """How a readable reply without an error in it ended."""

    def ending(self, form: str, body: bytes) -> Ending:
        parts = take_apart(body)
        if any(failed(event, value) for event, value in parts.values):
            return Ending("error")
        if not parts.readable or not all(isinstance(value, dict) for _, value in parts.values):
            return Ending("cut")
        return Ending(self.reason(parts))

    def tokens(self, form: str, body: bytes) -> Tokens:
        for _, value in reversed(take_apart(body).values):
            for usage in _usages(value):
                if isinstance(usage, dict):
                    return read_usage(usage)
        return Tokens()

    def error(self, status: int, message: str, code: str) -> bytes:
        kind = "invalid_request_error" if status < 500 else "server_error"
        return dump({"error": {"message": message, "type": kind, "param": None, "code": code}})
