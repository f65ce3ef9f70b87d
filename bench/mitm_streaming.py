"""For mitmdump: lets event streams flow instead of gathering them first."""

from __future__ import annotations

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    if flow.response is not None and "event-stream" in flow.response.headers.get("content-type", ""):
        flow.response.stream = True
