"""Which parts of a request are credentials, and what of a request may be kept."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from addons.protocols.base import Call, Protocol

CREDENTIAL_HEADERS = (
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "x-amz-security-token",
    "x-auth-token",
    "cookie",
)
CREDENTIAL_QUERY = frozenset(
    {"key", "api_key", "api-key", "apikey", "access_token", "token", "auth", "sig", "signature"}
    | {"subscription-key", "x-amz-security-token", "x-amz-signature", "x-amz-credential"}
)
_CREDENTIAL_NAME = re.compile(
    r"(?i)(?:^|[-_])(?:(?:api[-_]?key|access[-_]?key(?:_id)?|secret(?:[-_]?(?:access[-_]?)?key)?|client[-_]?secret|"
    r"subscription[-_]?key|private[-_]?key|password|passwd|authorization|bearer|jwt|cookie|credential)s?|"
    r"(?:access|refresh|auth|id|session|security)[-_]?token|"
    # Not the tokens of tokenizers and of lists.
    r"(?<!eos.)(?<!bos.)(?<!pad.)(?<!unk.)(?<!sep.)(?<!stop.)(?<!page.)(?<=[-_])token)$"
)
_LONGEST_NAME = 40
_SHAPES = re.compile(
    r"\b(?:sk-[A-Za-z0-9_\-]{16,}|AIza[0-9A-Za-z_\-]{30,}|(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|"
    r"hf_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9\-]{10,}|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|"
    r"nvapi-[A-Za-z0-9_\-]{20,}|pplx-[A-Za-z0-9]{20,}|ya29\.[A-Za-z0-9_\-]{20,}|github_pat_[A-Za-z0-9_]{30,}|"
    r"eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,})|"
    r"(?<=://)[^/\s:@\"']{1,200}:[^/\s@\"']{1,200}(?=@)|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s\\]+"
)
"""What looks like a credential wherever it stands: keys of well-known issuers, tokens, passwords in URLs."""

REDACTED = "<redacted>"
_DEEPEST = 64
_SHORTEST = 6
"""Shorter values are no secrets worth the name and would be found everywhere."""

_SHORTEST_SUSPECT = 16
_HARMLESS_HEADERS = re.compile(
    r"host|user-agent|accept(-.*)?|content-.*|connection|date|expect|cache-control|pragma|origin|referer|http-referer|"
    r"x-title|traceparent|idempotency-key|x-(client-)?request-id|x-(stainless|wiretape)-.*|(anthropic|openai)-.*|"
    r"x-goog-(api-client|request-params)|x-amz-(date|content-sha256|target)|amz-sdk-.*|transfer-encoding"
)
_FORM_FIELD = re.compile(r'(?i)content-disposition: form-data; name="([^"]{1,100})"\r\n(?:.+\r\n)*\r\n(.{1,4096})\r\n')
"""A short field of a multipart body (RFC 7578)."""
_SCHEMA_TYPES = frozenset({"string", "object", "array", "number", "integer", "boolean", "null"})

KEPT_REQUEST_HEADERS = ("content-type", "accept")
_KEPT_QUERY = frozenset({"alt", "api-version", "beta", "limit", "order", "after", "before", "pagesize", "model"})


def credentials(headers: Iterable[tuple[str, str]], query: Iterable[tuple[str, str]], body: Any) -> set[str]:
    """Every credential a request carries, bare: `Bearer sk-…` gives `sk-…` too.

    `headers` have lower-case names. In a JSON body a credential is what stands under a name that
    says so.
    """
    found: set[str] = set()
    for name, value in headers:
        if name in CREDENTIAL_HEADERS or names_credential(name):
            found.add(value)
            found.update(_inside(value))
    found.update(v for name, v in query if name.lower() in CREDENTIAL_QUERY or names_credential(name))
    _collect(body, found)
    return {value for value in found if len(value) >= _SHORTEST}


def names_credential(name: str) -> bool:
    """Whether a header, parameter or body member of this name says that it holds a credential."""
    return _ends_like_one(name[-_LONGEST_NAME:])


@functools.lru_cache(4096)
def _ends_like_one(name: str) -> bool:
    return _CREDENTIAL_NAME.search(name) is not None


def suspects(call: Call) -> set[str]:
    """Values that may be credentials though no name says so; never worth keeping if an answer repeats them.

    They are what unknown headers and parameters carry, unless the body says it too, form fields
    named like credentials, and what has the shape of a credential in the body.
    """
    values = [value for name, value in call.headers.items() if not _HARMLESS_HEADERS.fullmatch(name)]
    values += [value for name, value in call.query if name.lower() not in _KEPT_QUERY]
    found = {value for value in values if len(value) >= _SHORTEST_SUSPECT and not any(map(str.isspace, value))}
    said = call.raw.decode("utf-8", "replace")
    fields = _FORM_FIELD.findall(said) if call.body is None else []
    named = {value for name, value in fields if names_credential(name) and len(value) >= _SHORTEST}
    return {value for value in found if value not in said} | named | set(_SHAPES.findall(said))


def _inside(header: str) -> set[str]:
    """The parts of a credential header: the token behind its scheme, user and password of Basic."""
    scheme, _, token = header.partition(" ")
    parts = {token.strip()} if token else set()
    if scheme.lower() == "basic":
        try:
            plain = base64.b64decode(token, validate=True).decode()
        except ValueError:
            return parts
        parts.update({plain, *plain.split(":", 1)})
    if scheme.lower() == "aws4-hmac-sha256":
        parts.update(re.findall(r"(?:Credential|Signature)=([^,\s/]+)", token))
    if ";" in header and "=" in header:  # a cookie
        parts.update(piece.partition("=")[2].strip() for piece in header.split(";"))
    return parts


def _collect(value: Any, found: set[str], depth: int = 0) -> None:
    """Add the credentials in a JSON value to `found`."""
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, str | list | dict) and names_credential(name):
                _add(member, found)
            if isinstance(member, dict | list):
                _collect(member, found, depth + 1)
        _collect_headers(value, found)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                _collect(item, found, depth + 1)


def _add(member: Any, found: set[str]) -> None:
    """Take what stands under a credential's name: a text, several, or an object of texts that is no JSON schema."""
    if isinstance(member, dict):
        kind = member.get("type")
        schema = kind in _SCHEMA_TYPES if isinstance(kind, str) else "type" in member
        values = [] if schema else list(member.values())
    else:
        values = member if isinstance(member, list) else [member]
    for text in values:
        if isinstance(text, str):
            found |= {text, *_inside(text)}


def _collect_headers(value: dict[str, Any], found: set[str]) -> None:
    """The headers a tool on another server is to be called with, and pairs of a telling name and a value."""
    headers = value.get("headers")
    if isinstance(headers, dict) and (value.get("type") == "mcp" or "url" in value or "server_url" in value):
        _add([text for name, text in headers.items() if not _HARMLESS_HEADERS.fullmatch(name.lower())], found)
    name = value.get("name", value.get("key"))
    if isinstance(name, str) and isinstance(value.get("value"), str) and names_credential(name):
        _add(value["value"], found)


def spellings(secret: str) -> set[str]:
    """The ways a secret may be written: as it is, percent-encoded, in base64 (both alphabets), in JSON."""
    raw = secret.encode("utf-8", "surrogatepass")
    return {
        secret,
        quote(secret, safe="", errors="surrogatepass"),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        orjson.dumps(secret).decode()[1:-1] if secret.isprintable() else secret,
    }


def holds(text: bytes, secrets: Iterable[str]) -> bool:
    """Whether any spelling of any of the secrets stands in `text`."""
    return any(
        spelling.encode("utf-8", "surrogatepass") in text for secret in secrets for spelling in spellings(secret)
    )


def redacted(value: Any, secrets: Sequence[str], depth: int = 0) -> Any:
    """A JSON value in which every credential, and all that looks like one, is replaced."""
    if depth > 200:
        return REDACTED
    if isinstance(value, str):
        for secret in secrets:
            if secret in value:
                value = value.replace(secret, REDACTED)
        return _SHAPES.sub(REDACTED, value)
    if isinstance(value, list):
        return [redacted(item, secrets, depth + 1) for item in value]
    if isinstance(value, dict):
        return {
            redacted(name, secrets, depth + 1): REDACTED
            if isinstance(member, str) and names_credential(name)
            else redacted(member, secrets, depth + 1)
            for name, member in value.items()
        }
    return value


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def document(call: Call, protocol: Protocol, origin: str, secrets: Iterable[str]) -> bytes:
    """What of a request may be stored, as UTF-8 JSON: method, url, headers and body.

    Headers and query parameters are allow-listed: of other parameters the name alone is kept. A
    body that is not JSON is kept as its digest and length only. `origin` is `https://host`.
    """
    every = sorted({s for secret in secrets for s in spellings(secret)}, key=len, reverse=True)
    query = "&".join(
        f"{_quoted(name)}={_quoted(value) if name.lower() in _KEPT_QUERY else REDACTED}" for name, value in call.query
    )
    kept = (*KEPT_REQUEST_HEADERS, *protocol.key_headers, *call.key_headers)
    body: Any = call.body
    if call.body is None and call.raw:
        body = {"sha256": hashlib.sha256(call.raw).hexdigest(), "bytes": len(call.raw)}
    elif call.body is not None:
        body = redacted(call.body, every)
    content = {
        "method": call.method,
        "url": redacted(origin + call.path + (f"?{query}" if query else ""), every),
        "headers": [[name, redacted(call.headers[name], every)] for name in kept if name in call.headers],
        "body": body,
    }
    return dump(content)


def dump(content: Mapping[str, Any]) -> bytes:
    """JSON in member order; what orjson cannot write exactly goes through the standard library."""
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:
        import json

        return json.dumps(content, separators=(",", ":")).encode("ascii")
