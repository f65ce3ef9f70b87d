"""One answer to be sent, and what all providers' answers have in common."""

from __future__ import annotations

import hashlib
import http
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.wire.requests import Request

STATUSES = frozenset(http.HTTPStatus)


@dataclass(slots=True)
class Answer:
    """An answer: `pieces` together are the body, and one by one what a stream sends at a time."""

    status: int
    headers: list[tuple[str, str]]
    pieces: Sequence[bytes]
    streamed: bool = False

    @property
    def reason(self) -> str:
        """The standard phrase for the status, if it has one (Anthropic's 529 has none)."""
        return http.HTTPStatus(self.status).phrase if self.status in STATUSES else "Unknown"

    @property
    def body(self) -> bytes:
        """All pieces in one."""
        return b"".join(self.pieces)


def headers(request: Request, kind: str) -> list[tuple[str, str]]:
    """The headers providers send, with those in them that must never be kept."""
    return [
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("content-type", kind),
        ("server", "cloudflare"),
        ("x-request-id", f"req_{request.serial:06}"),
        ("x-ratelimit-remaining-requests", "4999"),
        ("set-cookie", f"__cf_bm=cookie-{request.serial:06}; path=/; HttpOnly; Secure"),
        ("openai-organization", "org-secret-name"),
    ]


def json_answer(request: Request, value: Any, status: int = 200) -> Answer:
    """A body in one piece, laid out with spaces as some providers do: whoever re-writes it is found out."""
    body = json.dumps(value, indent=2, ensure_ascii=False).encode()
    return Answer(status, headers(request, "application/json"), [body])


def sse_answer(request: Request, pieces: Iterable[bytes]) -> Answer:
    """A server-sent event stream."""
    return Answer(200, headers(request, "text/event-stream; charset=utf-8"), list(pieces), streamed=True)


def sse(value: Any, event: str = "") -> bytes:
    """One server-sent event."""
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {data}\n\n".encode()


def text_for(request: Request, said: Any) -> str:
    """The text of an answer: its serial, what it answers, and letters of more than one byte."""
    return f"Answer {request.serial} to “{flat(said)}” – déjà vu ✓"


def flat(said: Any) -> str:
    """The plain text in a message's content, however it is wrapped."""
    if isinstance(said, str):
        return said
    if isinstance(said, list):
        return " ".join(filter(None, map(flat, said)))
    if isinstance(said, dict):
        return next((flat(said[name]) for name in ("text", "content", "parts", "input") if name in said), "")
    return ""


def words(text: str, size: int = 8) -> list[str]:
    """The text in pieces as a model would stream it."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def tokens(value: Any) -> int:
    """About as many tokens as the JSON text of a value would be."""
    return max(1, len(json.dumps(value)) // 4)


def vector(item: Any, size: int) -> list[float]:
    """A unit vector that depends on the item alone, with no more digits than a 32-bit float has."""
    seed = hashlib.sha256(json.dumps(item).encode()).digest()
    raw = [math.sin((seed[i % 32] + 1) * (i + 1) * 0.37) for i in range(size)]
    norm = math.sqrt(sum(x * x for x in raw))
    return [float(str(x)) for x in np.array([x / norm for x in raw], dtype=np.float32)]
