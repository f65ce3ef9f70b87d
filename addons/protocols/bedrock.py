"""Amazon Bedrock's runtime: the common Converse API and the models' own formats behind InvokeModel."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from addons.protocols import anthropic_messages, bedrock_models, tool_ids
from addons.protocols.aws_events import BrokenFrame, Frame, FrameReader
from addons.protocols.base import PLAIN, Call, Ending, Protocol, Reason, Tokens
from addons.protocols.json_values import at, dump, parse

AWS_EVENTS = "aws-events"

_CACHE_POINT = "says where the provider's prompt cache may cut; the prompt is the same"
_CALLS = ("messages.*.content.*.toolUse.toolUseId",)
_RESULTS = ("messages.*.content.*.toolResult.toolUseId",)


class _Bedrock(Protocol):
    """What both APIs share: the model in the path, a verb that chooses the form, prompts kept by the server."""

    plain_verb: ClassVar[str]
    stream_verb: ClassVar[str]

    def form(self, call: Call) -> str:
        return AWS_EVENTS if call.path.endswith(f"/{self.stream_verb}") else PLAIN

    def operation(self, call: Call) -> str:
        before, verb, after = call.path.rpartition(f"/{self.stream_verb}")
        return f"{before}/{self.plain_verb}" if verb and not after else call.path

    def model(self, call: Call) -> str:
        # As an ARN it has slashes of its own, percent-encoded on the wire.
        segments = call.path.split("/")
        return call.params.get("model") or (unquote(segments[-2]) if len(segments) > 1 else "")

    def refuses(self, call: Call) -> str | None:
        # A prompt kept in Bedrock can be edited there under the same name.
        return "prompt" if call.member("promptVariables") or ":prompt/" in self.model(call) else None

    def error(self, status: int, message: str, code: str) -> bytes:
        return dump({"message": message, "__type": code})


class BedrockConverse(_Bedrock):
    """`POST /model/{model}/converse` and `…/converse-stream`.

    Reference: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    and …/API_runtime_ConverseStream.html
    """

    name: ClassVar[str] = "bedrock_converse"
    plain_verb: ClassVar[str] = "converse"
    stream_verb: ClassVar[str] = "converse-stream"
    # `serviceTier` and `performanceConfig` are not noise: the reply names what it was served by.
    noise: ClassVar[Mapping[str, str]] = {
        "requestMetadata": "tags the invocation log; the model does not see it",
        "messages.*.content.*.cachePoint": _CACHE_POINT,
        "messages.*.content.*.toolResult.content.*.cachePoint": _CACHE_POINT,
        "system.*.cachePoint": _CACHE_POINT,
        "toolConfig.tools.*.cachePoint": _CACHE_POINT,
    }
    schemas: ClassVar[tuple[str, ...]] = (
        "toolConfig.tools.*.toolSpec.inputSchema.json",
        "outputConfig.textFormat.structure.jsonSchema.schema",
    )

    def settle(self, body: Any) -> Any:
        return tool_ids.settle(body, _CALLS, _RESULTS)

    def content(self, call: Call) -> Any:
        body = self.settle(call.body)
        if not isinstance(body, dict):
            return body
        told = ("system", "messages", "promptVariables")
        return {name: _without_cache_points(body[name]) for name in told if name in body}

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            if form == AWS_EVENTS:
                return Ending(_converse_stream_reason(body))
            return Ending(bedrock_models.converse_reason(parse(body)))
        except ValueError:
            return Ending("cut")

    def tokens(self, form: str, body: bytes) -> Tokens:
        try:
            if form != AWS_EVENTS:
                return bedrock_models.converse_tokens(at(parse(body), "usage"))
            usages = [at(_payload(frame), "usage") for frame in read_frames(body) if _kind(frame) == "metadata"]
        except ValueError:
            return Tokens()
        return bedrock_models.converse_tokens(usages[-1] if usages else None)


class BedrockInvoke(_Bedrock):
    """`POST /model/{model}/invoke` and `…/invoke-with-response-stream`, whose bodies are the model's own.

    Reference: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
    and …/API_runtime_InvokeModelWithResponseStream.html
    """

    name: ClassVar[str] = "bedrock_invoke"
    plain_verb: ClassVar[str] = "invoke"
    stream_verb: ClassVar[str] = "invoke-with-response-stream"
    noise: ClassVar[Mapping[str, str]] = dict.fromkeys(
        anthropic_messages.CACHE_CONTROL,
        "says what to keep in the provider's prompt cache; the prompt is the same",
    )
    schemas: ClassVar[tuple[str, ...]] = (
        *anthropic_messages.SCHEMAS,
        *BedrockConverse.schemas,
        "tools.*.function.parameters",
        "response_format.json_schema.schema",
    )
    key_headers: ClassVar[tuple[str, ...]] = (
        "accept",
        "x-amzn-bedrock-accept",
        "x-amzn-bedrock-guardrailidentifier",
        "x-amzn-bedrock-guardrailversion",
        "x-amzn-bedrock-trace",
    )

    def refuses(self, call: Call) -> str | None:
        return super().refuses(call) or anthropic_messages.refused(call.body)

    def settle(self, body: Any) -> Any:
        calls = (*_CALLS, *anthropic_messages.CALLS, "messages.*.tool_calls.*.id")
        return tool_ids.settle(body, calls, (*_RESULTS, *anthropic_messages.RESULTS, "messages.*.tool_call_id"))

    def content(self, call: Call) -> Any:
        return bedrock_models.content(self.settle(call.body))

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            if form == AWS_EVENTS:
                return Ending(bedrock_models.invoke_stream_reason(_pieces(body)))
            return Ending(bedrock_models.invoke_reason(parse(body)))
        except ServiceError:
            return Ending("error")
        except ValueError:
            return Ending("cut")

    def tokens(self, form: str, body: bytes) -> Tokens:
        try:
            pieces = list(_pieces(body)) if form == AWS_EVENTS else [parse(body)]
        except ValueError:
            return Tokens()
        return bedrock_models.invoke_tokens(pieces)


class ServiceError(ValueError):
    """A stream that holds an exception of the service."""


def read_frames(body: bytes) -> list[Frame]:
    """All frames of a whole stream; raises ValueError if it is broken or ends within a frame."""
    reader = FrameReader()
    frames = reader.feed(body)
    if reader.pending:
        raise BrokenFrame("the stream ends within a frame")
    return frames


def _kind(frame: Frame) -> Any:
    """The name of an event; an exception or error of the service has none."""
    return frame.headers.get(":event-type") if frame.headers.get(":message-type") == "event" else None


def _payload(frame: Frame) -> Any:
    return parse(frame.payload) if frame.payload else None


def _pieces(body: bytes) -> Iterator[Any]:
    """The model's own pieces inside the chunks of an invoke stream; raises ServiceError for an exception."""
    for frame in read_frames(body):
        if _kind(frame) is None:
            raise ServiceError("the service sent an exception")
        encoded = at(_payload(frame), "bytes")
        if isinstance(encoded, str):
            try:
                yield parse(base64.b64decode(encoded, validate=True))
            except binascii.Error:
                raise BrokenFrame("a chunk is not base64") from None


def _converse_stream_reason(body: bytes) -> Reason:
    """How a stream ended: `messageStop` tells why, `metadata` after it is the last event."""
    reason: Reason = "cut"
    stopped = says = False
    for frame in read_frames(body):
        kind, payload = _kind(frame), _payload(frame)
        if kind is None:
            return "error"
        if kind == "messageStop":
            stopped, stop = True, bedrock_models.reason_of(at(payload, "stopReason"))
        elif kind == "metadata" and stopped:
            reason = stop
        says = says or kind == "contentBlockStart" or bool(at(payload, "delta", "text"))
        says = says or any(at(payload, "delta", name) for name in ("toolUse", "reasoningContent", "image"))
    return "empty" if reason == "stop" and not says else reason


def _without_cache_points(value: Any) -> Any:
    """Lists of blocks without those that are only cache points."""
    if isinstance(value, list):
        kept = [item for item in value if not (isinstance(item, dict) and [*item] == ["cachePoint"])]
        return [_without_cache_points(item) for item in kept]
    if isinstance(value, dict) and ("content" in value or "toolResult" in value):
        return {name: _without_cache_points(item) for name, item in value.items()}
    return value
