"""Which provider and protocol a request belongs to, and whether it can be kept at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mitmproxy import http

from addons import answers, directives, encodings, exchange, identity
from addons.door import Door
from addons.exchange import Exchange, Outcome
from addons.protocols import PROTOCOLS
from addons.protocols.base import Call, Protocol
from addons.protocols.strict_json import AmbiguousJson, loads
from addons.rules import OFF_LOOP
from addons.upstream import OURS
from config import Provider, Providers

log = logging.getLogger("wiretape")


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings this addon needs: see config/settings.py for each."""

    mode: str
    unknown: str
    match: str
    namespace: str
    max_request_bytes: int


class Recognize:
    """First in the list: gives each request to an allow-listed host its Exchange."""

    def __init__(self, providers: Providers, policy: Policy, door: Door) -> None:
        self._providers = providers
        self._policy = policy
        self._door = door

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel is wanted: never to ourselves, and to unknown hosts only if they may pass."""
        request = flow.request
        if self._door.is_ours(flow.client_conn.sockname, request.host, request.port):
            flow.response = http.Response.make(403, b"wiretape: no tunnel to the proxy itself\n")
        elif self._policy.unknown == "refuse" and self._providers.find("https", request.host, request.port) is None:
            message = f"wiretape: {request.host}:{request.port} is no known provider and `unknown` is `refuse`\n"
            flow.response = http.Response.make(403, message.encode())

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._first_look(flow)
        if flow.response is not None:
            flow.request.stream = False  # mitmproxy cannot pass on what is answered already

    def _first_look(self, flow: http.HTTPFlow) -> None:
        """What can be said before the body is there."""
        request = flow.request
        provider, at_door = self._provider(flow)
        if flow.response is not None:
            return
        if provider is None:
            self._unknown(flow)
            return
        mode = self._policy.mode
        found = provider.route(request.method, request.path.partition("?")[0])
        name, params = found if found is not None else ("other", {})
        host = identity.authority(request.scheme, request.host, request.port)
        made = Exchange(provider, PROTOCOLS[name], host, mode, request.scheme, parameters=params)
        exchange.attach(flow, made)
        made.headers = _lowered(request)
        made.reason = self._passing(made, request, found is not None, at_door)
        size = made.headers.get("content-length", "")
        if size.isdigit() and int(size) > self._policy.max_request_bytes:
            made.reason = "request too large"
            if mode == "replay":
                # Refused now, so that a body nobody will read is not gathered.
                made.outcome = Outcome.NOT_RECORDED
                text = "wiretape: not recorded (excluded: request too large)"
                flow.response = answers.refusal(424, made.protocol.error(424, text, "not_recorded"))
        if made.reason and mode != "replay":
            flow.request.stream = _has_body(made.headers)
            _unmark(request)

    def _provider(self, flow: http.HTTPFlow) -> tuple[Provider | None, bool]:
        """Whose request this is, and whether it came through the base-URL door."""
        request = flow.request
        if self._door.is_ours(flow.client_conn.sockname, request.host, request.port):
            target = self._providers.at_door(request.path.partition("?")[0])
            if target is None:
                flow.response = self._door.answer(request)
                return None, True
            self._door.redirect(request, *target)
            return target[0], True
        return self._providers.find(request.scheme, request.host, request.port), False

    def _unknown(self, flow: http.HTTPFlow) -> None:
        """Plain HTTP to a host we do not know."""
        if self._policy.unknown == "refuse":
            text = f"wiretape: {flow.request.host} is no known provider and `unknown` is `refuse`\n"
            flow.response = http.Response.make(403, text.encode(), {"content-type": "text/plain"})
        else:
            flow.request.stream = _has_body(_lowered(flow.request))

    def _passing(self, made: Exchange, request: http.Request, routed: bool, at_door: bool) -> str:
        """Why this request goes past the cache whatever its body says; empty if it does not."""
        if made.mode == "off":
            return "mode is off"
        if made.headers.get("upgrade", "").lower() == "websocket":
            return "websocket"
        if not at_door and not _same_host(request, request.host_header or request.host):
            return "host header differs"
        if not routed and made.mode in ("cache", "read"):
            return "endpoint not cached"
        return ""

    async def request(self, flow: http.HTTPFlow) -> None:
        found = exchange.of(flow)
        if found is None or flow.response is not None:
            return
        if flow.request.stream:  # its body is gone already
            found.passes(found.reason or "request too large")
            return
        if found.reason:
            return
        match = self._level(flow, found)
        if flow.response is not None:
            return
        found.level = match
        try:
            if len(flow.request.raw_content or b"") > OFF_LOOP:
                await asyncio.to_thread(self._read, flow.request, found)
            else:
                self._read(flow.request, found)
        except (AmbiguousJson, encodings.EncodingError, RecursionError) as error:
            found.passes(f"unreadable body: {str(error)[:80]}")
        if not found.key:
            _unmark(flow.request)

    def _level(self, flow: http.HTTPFlow, found: Exchange) -> str:
        """The level to match at; a level we do not know is refused, lest it match more than was meant."""
        asked = found.headers.get(identity.MATCH_HEADER)
        if asked is None:
            return found.provider.match or self._policy.match
        if asked not in identity.LEVELS:
            found.outcome, found.reason = Outcome.REFUSED, f"unknown {identity.MATCH_HEADER}"
            text = f"wiretape: {identity.MATCH_HEADER}: {asked[:40]!r} is none of {', '.join(identity.LEVELS)}"
            flow.response = answers.refusal(400, found.protocol.error(400, text, "bad_match"))
        return str(asked)

    def _read(self, request: http.Request, found: Exchange) -> None:
        """Take the request apart and find its key."""
        headers = found.headers
        limit = self._policy.max_request_bytes
        raw = encodings.decode(request.raw_content or b"", headers.get("content-encoding", ""), limit)
        path, _, query = request.path.partition("?")
        call = Call(
            method=request.method,
            path=path,
            params=found.parameters,
            query=tuple(parse_qsl(query, keep_blank_values=True, errors="surrogateescape")),
            headers=headers,
            raw=raw,
            key_headers=found.provider.key_headers,
            body=_body(raw, headers, found.protocol, found.mode),
        )
        found.call = call
        found.directives = directives.parse(headers.get("cache-control", ""))
        found.form = found.protocol.form(call)
        if found.mode in ("cache", "read") and (why := found.protocol.refuses(call)):
            found.passes(why)
            return
        found.key = identity.key_of(
            call,
            found.protocol,
            level=found.level,
            namespace=self._policy.namespace,
            provider=found.provider.name,
            host=found.host,
            credentials=found.secrets if found.level == "exact" else (),
        )


def _unmark(request: http.Request) -> None:
    """Take off the headers that are meant for us: what is passed goes out without them."""
    for name in [name for name in request.headers if name.lower().startswith(OURS)]:
        del request.headers[name]


def _body(raw: bytes, headers: Mapping[str, str], protocol: Protocol, mode: str) -> Any:
    """The JSON value of a body; None where there is none, or where a call we do not know sends something else."""
    if not raw:
        return None
    unknown = protocol.name == "other"
    if unknown and "json" not in headers.get("content-type", "json"):
        return None
    try:
        return loads(raw)
    except AmbiguousJson:
        if unknown and mode in ("record", "replay"):
            return None  # an upload of JSON lines, say, or of a file without a type: its bytes are its key
        raise


def _lowered(request: http.Request) -> dict[str, str]:
    """Headers by lower-case name; repeated ones joined as RFC 9110 §5.3 says."""
    lowered: dict[str, str] = {}
    for name, value in request.headers.fields:
        low = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        lowered[low] = f"{lowered[low]}, {text}" if low in lowered else text
    return lowered


def _same_host(request: http.Request, authority: str) -> bool:
    """Whether the Host header, `authority`, names the host the connection was opened to."""
    if authority == request.host:
        return True
    try:
        named = urlsplit(f"//{authority}")
        port = named.port or request.port
    except ValueError:
        return False
    return (named.hostname or "").rstrip(".") == request.host.lower().rstrip(".") and port == request.port


def _has_body(headers: Mapping[str, str]) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers
