"""Calls of no protocol of their own, for which the whole request decides: moderations, images, speech, …"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from addons.protocols.base import Call, Ending, Protocol, Reason
from addons.protocols.events import read_sse
from addons.protocols.json_values import at, dump, parse
from addons.protocols.server_state import reference

_LAST_EVENTS = (".completed", ".incomplete", ".done", "_stop", "message_end", "message-end")
"""How the names of the last events of a stream end: OpenAI's images, speech and transcripts, Anthropic, Cohere."""


class Other(Protocol):
    """Any call whose answer depends on nothing but the request itself."""

    name: ClassVar[str] = "other"
    noise: ClassVar[Mapping[str, str]] = {}
    key_headers: ClassVar[tuple[str, ...]] = ("accept", "anthropic-beta", "anthropic-version", "openai-beta", "range")

    def refuses(self, call: Call) -> str | None:
        if call.method.upper() != "POST":
            # A read tells how things stand now, a deletion must happen.
            return f"{call.method.lower()} request"
        held = (name for name in ("previous_response_id", "conversation") if call.member(name))
        return next(held, None) or reference(call.body)

    def content(self, call: Call) -> Any:
        if call.body is None and call.raw:
            return {"operation": call.path, "raw": base64.b64encode(call.raw).decode("ascii")}
        return {"operation": call.path, "body": call.body}

    def ending(self, form: str, body: bytes) -> Ending:
        start = body.lstrip()
        if start[:1] in (b"{", b"["):
            return Ending(_json_reason(body))
        if start.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
            return Ending(_stream_reason(body))
        return Ending("stop")  # text, audio, an image, or nothing at all, as after a deletion

    def error(self, status: int, message: str, code: str) -> bytes:
        return dump({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})


def _json_reason(body: bytes) -> Reason:
    try:
        parse(body)
    except ValueError:
        # JSON lines are whole if each of them is.
        lines = [line for line in body.split(b"\n") if line.strip()]
        return "stop" if len(lines) > 1 and all(_is_json(line) for line in lines) else "cut"
    return "stop"


def _is_json(text: bytes | str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _stream_reason(body: bytes) -> Reason:
    """A stream of unknown events is whole if the last one says so."""
    events, pending = read_sse(body)
    last = pending or (events[-1] if events else None)
    if last is None:
        return "cut"
    if last.event == "error":
        return "error"
    if last.data == "[DONE]":
        return "stop"
    if pending:
        return "cut"
    try:
        kind = at(parse(last.data), "type")
    except ValueError:
        kind = None
    name = kind if isinstance(kind, str) else last.event
    return "stop" if name.endswith(_LAST_EVENTS) else "cut"
