"""For mitmdump: answers every request with the one reply."""

from __future__ import annotations

from pathlib import Path

from mitmproxy import http

REPLY = Path(__file__).with_name("reply.json").read_bytes()


def request(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(200, REPLY, {"content-type": "application/json"})
