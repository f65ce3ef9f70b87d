"""A client's request as it goes to the provider."""

from __future__ import annotations

from mitmproxy import http

from addons.exchange import Exchange
from addons.upstream import Ask, forwarded


def ask_of(request: http.Request, found: Exchange, body: bytes | None = None) -> Ask:
    """The request as it goes to the provider, with `body` in place of its own where given."""
    content = (request.raw_content or b"") if body is None else body
    fields: list[tuple[bytes, bytes]] = list(request.headers.fields)
    if body is not None:
        fields = [(n, v) for n, v in fields if n.lower() != b"content-encoding"]
    return Ask(
        method=request.method,
        scheme=request.scheme,
        host=request.host,
        port=request.port,
        target=request.path,
        headers=forwarded(fields, found.host, content),
        body=content,
    )
