"""Recorded exchanges with real providers, where a copy of them lies beside the project."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATH = Path(__file__).parents[2] / "shared" / "traffic" / "recorded.jsonl.gz"
MISSING = f"no recorded traffic at ../shared/traffic/{PATH.name}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One exchange. `source` and `position` name its conversation and its place in it."""

    id: str
    source: str
    position: int
    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    status: int
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes

    @property
    def authority(self) -> str:
        """`host:port` as connections are opened to."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"

    @property
    def target(self) -> str:
        """Path and query."""
        parts = urlsplit(self.url)
        return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"

    @property
    def ok(self) -> bool:
        """Whether it was answered with 2xx."""
        return 200 <= self.status < 300


def present() -> bool:
    """Whether there is recorded traffic on this machine."""
    return PATH.is_file()


@functools.cache
def load() -> tuple[Recorded, ...]:
    """All exchanges in file order. Raises FileNotFoundError if there are none."""
    with gzip.open(PATH, "rt", encoding="utf-8") as lines:
        return tuple(_recorded(json.loads(line)) for line in lines)


def _recorded(line: Mapping[str, Any]) -> Recorded:
    asked, answered = line["request"], line["response"]
    return Recorded(
        id=line["id"],
        source=line["source"],
        position=line["n"],
        method=asked["method"],
        url=asked["url"],
        request_headers=tuple((name, value) for name, value in asked["headers"]),
        request_body=_body(asked.get("body")),
        status=answered["status"],
        response_headers=tuple((name, value) for name, value in answered["headers"]),
        response_body=_body(answered.get("body")),
    )


def _body(body: Mapping[str, Any] | None) -> bytes:
    if not body:
        return b""
    if "base64" in body:
        return base64.b64decode(body["base64"])
    if "text" in body:
        return str(body["text"]).encode()
    return json.dumps(body["json"], separators=(",", ":"), ensure_ascii=False).encode()
