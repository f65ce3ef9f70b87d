"""Stored replies as responses, and which headers of an answer may be kept or passed on."""

from __future__ import annotations

import time
from collections.abc import Iterable

from mitmproxy import http
from mitmproxy.net.http.status_codes import RESPONSES

from addons.upstream import HOP_BY_HOP, OURS
from cache import Reply

KEPT_HEADERS = frozenset(
    {
        "content-type",
        "content-language",
        "content-disposition",
        "openai-model",
        "openai-version",
        "anthropic-version",
        "x-amzn-errortype",
        "x-amzn-bedrock-content-type",
        "x-amzn-bedrock-input-token-count",
        "x-amzn-bedrock-output-token-count",
        "x-amzn-bedrock-cache-read-input-token-count",
        "x-amzn-bedrock-cache-write-input-token-count",
        "x-amzn-bedrock-invocation-latency",
        "x-amzn-bedrock-performanceconfig-latency",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "etag",
        "last-modified",
    }
)
"""Response headers worth keeping. Everything else belongs to the one call that was made: cookies,
rate limits, request ids, accounts, dates."""


def kept(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers of an answer that are stored with it, names in lower case."""
    return tuple((name.lower(), value) for name, value in headers if name.lower() in KEPT_HEADERS)


def is_ours(name: str) -> bool:
    """Whether a response header is one we set, so that one from elsewhere must be forged."""
    low = name.lower()
    return low.startswith(OURS) or low in ("cache-status", "age")


def response(
    status: int, headers: Iterable[tuple[str, str]], body: bytes, *, reason: str = "", with_length: bool = True
) -> http.Response:
    """A response whose body is `body` exactly."""
    fields = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers]
    if with_length:
        fields.append((b"content-length", str(len(body)).encode()))
    now = time.time()
    phrase = reason.encode("latin-1") if reason else RESPONSES.get(status, "").encode()
    return http.Response(b"HTTP/1.1", status, phrase, http.Headers(fields), body, None, now, now)


def from_reply(reply: Reply) -> http.Response:
    """A stored reply as it is served."""
    return response(reply.status, reply.headers, reply.body, with_length=reply.status not in (204, 304))


def passed_on(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a fresh answer that reach the client: all but those of the connection and forged ones of ours."""
    return [(n, v) for n, v in headers if n.lower() not in HOP_BY_HOP and not is_ours(n)]


def live_response(request: http.Request, status: int, reason: str, headers: Iterable[tuple[str, str]]) -> http.Response:
    """The head of an answer whose body follows piece by piece, framed as the client's HTTP version can take it."""
    fields = passed_on(headers)
    has_length = any(name.lower() == "content-length" for name, _ in fields)
    if not has_length and request.http_version == "HTTP/1.1":
        fields.append(("Transfer-Encoding", "chunked"))
    if not has_length and request.http_version == "HTTP/1.0":
        fields.append(("Connection", "close"))
    made = response(status, fields, b"", reason=reason, with_length=False)
    made.raw_content = None
    return made


def refusal(status: int, body: bytes, *, retry: bool = False) -> http.Response:
    """An error of ours in the provider's shape; SDKs that heed `x-should-retry` do not ask again."""
    headers = [("content-type", "application/json")]
    if not retry:
        headers.append(("x-should-retry", "false"))
    return response(status, headers, body)
