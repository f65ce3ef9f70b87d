"""What makes two requests the same: the identity of a call at each level, and its key."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from email.message import Message
from typing import Any

import orjson

from addons.protocols.base import Call, Protocol
from addons.secrets import CREDENTIAL_QUERY
from cache.keys import digest

LEVELS = ("normalized", "content", "exact")
MATCH_HEADER = "x-wiretape-match"
"""The request header that chooses one of them."""

_DROP = "drop"
_SCHEMA = "schema"
type _Node = dict[str, _Node] | str


@functools.cache
def _tree(protocol: Protocol) -> dict[str, _Node]:
    """The protocol's noise and schema paths as one tree, so that a body is walked once."""
    root: dict[str, _Node] = {}
    for paths, leaf in ((protocol.schemas, _SCHEMA), (protocol.noise, _DROP)):
        for path in paths:
            *parents, last = path.split(".")
            node = root
            for name in parents:
                below = node.setdefault(name, {})
                if isinstance(below, str):
                    break  # the path lies below one that is dropped or kept as a whole
                node = below
            else:
                node[last] = leaf
    return root


def _apply(value: Any, node: dict[str, _Node]) -> Any:
    """A copy of `value` without noise and with each schema written out in its own member order."""
    if isinstance(value, list):
        below = node.get("*")
        if below is None or below == _DROP:
            return value
        return [_schema(item) if below == _SCHEMA else _apply(item, below) for item in value]  # type: ignore[arg-type]
    if not isinstance(value, dict):
        return value
    changed: dict[str, Any] = {}
    wild = node.get("*")
    for name, member in value.items():
        below = node.get(name, wild)
        if below is None:
            changed[name] = member
        elif below == _SCHEMA:
            changed[name] = _schema(member)
        elif isinstance(below, dict):
            changed[name] = _apply(member, below)
    return changed


def _schema(value: Any) -> str:
    """A schema as text: always a string there, so order counts and nothing else can look like it."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return repr(value)


def settled(protocol: Protocol, body: Any) -> Any:
    """The body as the key sees it: without noise, ids that are only echoed as ordinals."""
    return _apply(protocol.settle(body), _tree(protocol))


def authority(scheme: str, host: str, port: int) -> str:
    """Host and port in one spelling: lower case, without the scheme's own port."""
    usual = {"https": 443, "http": 80}.get(scheme)
    name = host.lower().rstrip(".")
    return name if port == usual else f"{name}:{port}"


def query_of(call: Call, protocol: Protocol) -> list[list[str]]:
    """The query parameters that count, by name; credentials and those that only choose the form do not."""
    return [
        [name, value]
        for name, value in sorted(call.query, key=lambda pair: pair[0])
        if name.lower() not in CREDENTIAL_QUERY and name not in protocol.noise_query
    ]


def headers_of(call: Call, protocol: Protocol) -> dict[str, str]:
    """The headers that count: those of the protocol, and those of this provider."""
    return {name: call.headers[name] for name in (*protocol.key_headers, *call.key_headers) if name in call.headers}


def _unbounded(call: Call) -> tuple[str, bytes]:
    """A raw body with its type; of a multipart one (RFC 2046 §5.1) without the boundary its sender made up."""
    kind = Message()
    kind["content-type"] = call.headers.get("content-type", "")
    boundary = kind.get_boundary()
    if kind.get_content_maintype() != "multipart" or not boundary:
        return kind["content-type"], call.raw
    return kind.get_content_type(), call.raw.replace(b"--" + boundary.encode("utf-8", "replace"), b"--boundary")


def key_of(
    call: Call,
    protocol: Protocol,
    *,
    level: str,
    namespace: str,
    provider: str,
    host: str,
    credentials: Iterable[str] = (),
) -> str:
    """The key of a call: SHA-256 over its identity at `level`, 64 hexadecimal digits.

    `host` is the authority the request goes to; it counts because one name may serve another
    model than its neighbour. Raises RecursionError for absurd nesting.
    """
    identity: dict[str, Any] = {
        "level": level,
        "namespace": namespace,
        "provider": provider,
        "host": host,
        "protocol": protocol.name,
    }
    if level == "content":
        identity["content"] = protocol.content(call)
        if protocol.name == "other":  # no conversation to look at: which call it is counts
            identity |= {"method": call.method, "query": query_of(call, protocol)}
        return digest(identity)
    identity["method"] = call.method
    if level == "exact":
        identity["path"] = call.path
        identity["query"] = query_of(call, protocol)
        identity["headers"] = headers_of(call, protocol)
        identity["body"] = hashlib.sha256(call.raw).hexdigest()
        identity["credentials"] = sorted(
            hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest() for value in credentials
        )
        return digest(identity)
    identity["operation"] = protocol.operation(call)
    identity["query"] = query_of(call, protocol)
    identity["headers"] = headers_of(call, protocol)
    if call.body is None and call.raw:
        kind, raw = _unbounded(call)
        identity["type"], identity["raw"] = kind, hashlib.sha256(raw).hexdigest()
    else:
        identity["body"] = settled(protocol, call.body)
    return digest(identity)
