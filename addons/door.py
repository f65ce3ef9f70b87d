"""Our own address: the base-URL door, and what else is asked of us directly."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from mitmproxy import http

from addons import answers
from config import Provider

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})


class Door:
    """Knows which requests are meant for us rather than for somewhere behind us.

    `host` is where we listen; the port is learned from the client's own connection, so that a
    port chosen by the system needs no telling.
    """

    def __init__(self, host: str) -> None:
        self._hosts = _LOOPBACK | {host.lower()}

    def is_ours(self, sockname: Sequence[object] | None, host: str, port: int) -> bool:
        """Whether `host:port` is the address the client reached us at (`sockname` is its near end here)."""
        if not sockname or port != sockname[1]:
            return False
        if host.lower().rstrip(".") in self._hosts or host == sockname[0]:
            return True
        address = _address(host)
        return address is not None and (address.is_loopback or address.is_unspecified or str(address) == sockname[0])

    def redirect(self, request: http.Request, provider: Provider, path: str) -> None:
        """Point a request that came through the door at its provider."""
        base = urlsplit(provider.base_url or "")
        query = request.path.partition("?")[2]
        request.scheme = base.scheme or "https"
        # Not through request.host: its setter rewrites the Host header, for which HTTP/2 and 1.1 differ.
        request.data.host = base.hostname or ""
        request.data.port = base.port or (443 if request.scheme == "https" else 80)
        request.path = base.path.rstrip("/") + path + (f"?{query}" if query else "")
        request.headers["Host"] = base.netloc
        if request.authority:
            request.authority = base.netloc

    def answer(self, request: http.Request) -> http.Response:
        """What we say to a request of our own that no provider answers."""
        path = request.path.partition("?")[0]
        if path == "/healthz":
            return answers.response(200, [("content-type", "application/json")], b'{"status":"ok"}')
        text = f"nothing at {path[:80]}: use wiretape as HTTPS_PROXY, or as a base URL such as /v1 or /anthropic"
        body = json.dumps(
            {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": "not_found"}}
        )
        return answers.response(404, [("content-type", "application/json")], body.encode())


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that connecting to `host` would read in it, `127.1` and `0x7f000001` included."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
