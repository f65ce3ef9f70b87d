"""Writes AWS event streams, independently of the reader they test."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any


def frame(payload: bytes, **headers: str) -> bytes:
    """One frame with string headers; `event_type="x"` becomes `:event-type`."""
    coded = b""
    for name, value in headers.items():
        label = b":" + name.replace("_", "-").encode()
        coded += bytes([len(label)]) + label + b"\x07" + len(value.encode()).to_bytes(2, "big") + value.encode()
    return raw_frame(coded, payload)


def raw_frame(headers: bytes, payload: bytes) -> bytes:
    """One frame around headers that are coded already."""
    prelude = (16 + len(headers) + len(payload)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    prelude += binascii.crc32(prelude).to_bytes(4, "big")
    message = prelude + headers + payload
    return message + binascii.crc32(message).to_bytes(4, "big")


def event(kind: str, value: Any) -> bytes:
    """An event as Converse streams send it."""
    payload = json.dumps(value).encode()
    return frame(payload, event_type=kind, content_type="application/json", message_type="event")


def chunk(value: Any) -> bytes:
    """A model's own piece as invoke streams send it."""
    return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode(), "p": "abc"})


def exception(kind: str, message: str) -> bytes:
    """An exception of the service in the middle of a stream."""
    payload = json.dumps({"message": message}).encode()
    return frame(payload, exception_type=kind, content_type="application/json", message_type="exception")
