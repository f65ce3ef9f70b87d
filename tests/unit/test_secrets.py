"""Which parts of a request are credentials, and what of it may be kept."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from addons.protocols import PROTOCOLS
from addons.protocols.base import Call
from addons.secrets import REDACTED, credentials, document, holds, names_credential, redacted, spellings, suspects

SECRET = "canary+5e1f/tail"
CHAT = PROTOCOLS["openai_chat"]


def _found(headers: dict[str, str] | None = None, query: str = "", body: Any = None) -> set[str]:
    return credentials((headers or {}).items(), [(query, SECRET)] if query else [], body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", f"Bearer {SECRET}"),
        ("authorization", SECRET),
        ("proxy-authorization", "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()),
        ("authorization", f"AWS4-HMAC-SHA256 Credential={SECRET.replace('/', '')}/2026/x, Signature=abcdef0123"),
        ("cookie", f"a=b; session={SECRET}"),
        *((name, SECRET) for name in ("x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key")),
        *((name, SECRET) for name in ("x-amz-security-token", "x-acme-gateway-token", "acme-secret", "x-password")),
    ],
)
def test_headers(name: str, value: str) -> None:
    assert _found({name: value}) & {SECRET, SECRET.replace("/", "")}


@pytest.mark.parametrize("name", ["content-type", "user-agent", "idempotency-key", "x-request-id", "x-max-tokens"])
def test_harmless_headers(name: str) -> None:
    assert _found({name: SECRET}) == set()


@pytest.mark.parametrize("name", ["key", "API_KEY", "sig", "access_token", "X-Amz-Signature", "acme-token"])
def test_parameters(name: str) -> None:
    assert _found(query=name) == {SECRET}


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": SECRET},
        {"apiKey": SECRET},
        {"a": [{"b": {"client_secret": SECRET}}]},
        {"api_keys": ["x", SECRET]},
        {"credentials": {"user": "me", "value": SECRET}},
        {"authorization": f"Bearer {SECRET}"},
        {"mcp_servers": [{"type": "url", "authorization_token": SECRET}]},
        {"tools": [{"type": "mcp", "headers": {"X-Any": SECRET}}]},
        {"tools": [{"server_url": "u", "headers": {"Authorization": f"Bearer {SECRET}"}}]},
        {"headers": [{"name": "X-Api-Key", "value": SECRET}]},
        {"github_token": SECRET},
    ],
)
def test_bodies(body: Any) -> None:
    assert SECRET in _found(body=body)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": SECRET}]},
        {"max_tokens": SECRET, "eos_token": SECRET, "page_token": SECRET, "token": SECRET, "keyword": SECRET},
        {"properties": {"password": {"type": "string", "description": SECRET}}},
        {"properties": {"password": {"type": ["string", "null"], "description": SECRET}}},
        {"tools": [{"type": "mcp", "headers": {"Content-Type": SECRET}}]},
        {"signature": SECRET},
        {"password": "short"},
    ],
)
def test_what_is_none(body: Any) -> None:
    assert _found(body=body) == set()


def test_absurd_names_and_nesting_cost_nothing() -> None:
    deep: Any = {"password": SECRET}
    for _ in range(10_000):
        deep = [deep]
    assert _found(body=deep) == set()
    assert redacted(deep, ()) != deep
    assert not names_credential("a_" * 1_000_000 + "b")
    assert names_credential("a_" * 1_000_000 + "api_key")


@pytest.mark.parametrize("spelled", [SECRET, "canary%2B5e1f%2Ftail", base64.b64encode(SECRET.encode()).decode()])
def test_every_spelling_is_found(spelled: str) -> None:
    assert holds(f"before{spelled}after".encode(), [SECRET])


def test_holds_no_more_than_that() -> None:
    assert not holds(b"canary 5e1f tail", [SECRET])
    assert not holds(SECRET.encode(), [])


@pytest.mark.parametrize("odd", ["\ud800" * 8, "a\x00b\x00c\x00", 'quo"ted\\too', "é" * 9])
def test_odd_secrets(odd: str) -> None:
    assert odd in spellings(odd)
    assert holds(json.dumps(odd, ensure_ascii=False).encode("utf-8", "surrogatepass"), [odd]) or "\x00" in odd
    assert odd not in redacted(f"a{odd}b", [odd])


SHAPES = [
    "sk-proj-abcdefghijklmnop1234",
    "sk-ant-api03-abcdefghijklmnop",
    "AIza" + "x" * 35,
    "AKIAABCDEFGHIJKLMNOP",
    "ghp_" + "a" * 36,
    "hf_" + "a" * 34,
    "xoxb-1234567890-abc",
    "gsk_" + "a" * 52,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_in_a_prompt_are_redacted(shape: str) -> None:
    assert redacted({"content": f"my key is {shape}, ok?"}, ()) == {"content": f"my key is {REDACTED}, ok?"}


def test_passwords_in_addresses_and_private_keys() -> None:
    assert redacted("postgresql://me:hunter22@db/x", ()) == f"postgresql://{REDACTED}@db/x"
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc+/=\nxyz\n"
    assert "MIIE" not in redacted(key, ())
    assert "MIIE" not in redacted(json.dumps(key), ())


@pytest.mark.parametrize("text", ["task-force", "sk-learn", "ask-me-anything", "https://host:8080/path", "a@b.c"])
def test_other_text_stays(text: str) -> None:
    assert redacted(text, ()) == text


def test_suspects() -> None:
    raw = f'{{"model": "a-model-of-some-length", "content": "{SHAPES[0]}"}}'.encode()
    headers = {"x-acme": "an-opaque-value-1234", "x-model": "a-model-of-some-length", "x-text": "several words, no key"}
    call = Call("POST", "/", query=(("acme", "opaque-parameter-1"),), headers=headers, raw=raw, body={})
    assert suspects(call) == {"an-opaque-value-1234", "opaque-parameter-1", SHAPES[0]}


def test_fields_of_a_form_are_suspects() -> None:
    field = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    raw = "--b\r\n".join(field.format(*pair) for pair in (("api_key", SECRET), ("language", "english")))
    assert suspects(Call("POST", "/", raw=raw.encode())) == {SECRET}


def _document(**given: Any) -> dict[str, Any]:
    call = Call("POST", "/v1/chat/completions", **given)
    found: dict[str, Any] = json.loads(document(call, CHAT, "https://api.openai.com", {SECRET}))
    return found


def test_headers_and_parameters_are_allow_listed() -> None:
    kept = _document(
        headers={"content-type": "application/json", "openai-beta": "x=v2", "x-acme": "other", "cookie": "a=b"},
        query=(("api-version", "2024-10-21"), ("key", SECRET), ("acme", "a value")),
    )
    assert kept["headers"] == [["content-type", "application/json"], ["openai-beta", "x=v2"]]
    assert kept["url"].endswith(f"/v1/chat/completions?api-version=2024-10-21&key={REDACTED}&acme={REDACTED}")


def test_a_body_keeps_all_but_credentials() -> None:
    body = {"model": "m", "api_key": "abc", "messages": [{"content": f"x {SECRET} y"}], SECRET: 1, "n": 2**70}
    kept = _document(body=body, raw=b"x")["body"]
    assert kept == {
        "model": "m",
        "api_key": REDACTED,
        "messages": [{"content": f"x {REDACTED} y"}],
        REDACTED: 1,
        "n": 2**70,
    }


def test_a_body_that_is_not_json_is_kept_as_its_digest() -> None:
    kept = _document(raw=SECRET.encode() * 9)["body"]
    assert set(kept) == {"sha256", "bytes"}
    assert kept["bytes"] == 9 * len(SECRET)


def test_odd_text_can_be_written() -> None:
    kept = _document(query=(("\ud800", "\udfff"), ("model", "\ud800")), body={"a": "\ud800"}, raw=b"x")
    assert kept["body"] == {"a": "\ud800"}
