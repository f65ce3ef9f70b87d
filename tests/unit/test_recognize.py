"""What a request is: whose, of which protocol, to be kept or passed, and under which key."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from mitmproxy import http

from addons import exchange
from addons.door import Door
from addons.exchange import Exchange, Outcome
from addons.recognize import Policy, Recognize
from tests.unit.exchanges import PROVIDERS, SECRET, flow

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
CONNECTED = ("127.0.0.1", 8080)


def recognize(mode: str = "cache", **fields: Any) -> Recognize:
    given = {"unknown": "pass", "match": "normalized", "namespace": "", "max_request_bytes": 1000}
    return Recognize(PROVIDERS, Policy(mode, **{**given, **fields}), Door("127.0.0.1"))


async def seen(
    addon: Recognize, body: Any = CHAT, headers: dict[str, str] | None = None, **request: Any
) -> http.HTTPFlow:
    """A flow after the addon has seen its head and its body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    host = request.get("host", "api.openai.com")
    fields = {"host": host, "content-length": str(len(raw)), **(headers or {})}
    made = flow(
        content=raw, **{"headers": http.Headers(**{n.replace("-", "_"): v for n, v in fields.items()}), **request}
    )
    made.client_conn.sockname = CONNECTED
    addon.requestheaders(made)
    if made.response is None and not made.request.stream:
        await addon.request(made)
    return made


async def found(addon: Recognize, *given: Any, **request: Any) -> Exchange:
    carried = exchange.of(await seen(addon, *given, **request))
    assert carried is not None
    return carried


async def test_a_call_we_know_gets_a_key() -> None:
    known = await found(recognize(), CHAT, {"authorization": f"Bearer {SECRET}", "cache-control": "no-store"})
    assert (known.provider.name, known.protocol.name, known.host) == ("openai", "openai_chat", "api.openai.com")
    assert (known.model, known.form, known.mode, known.level) == ("m", "plain", "cache", "normalized")
    assert len(known.key) == 64
    assert SECRET in known.secrets
    assert known.directives.no_store
    assert known.reason == ""


async def test_a_coding_and_a_layout_do_not_change_the_key() -> None:
    plain = await found(recognize())
    packed = await found(recognize(), gzip.compress(json.dumps(CHAT).encode()), {"content-encoding": "gzip"})
    spaced = await found(recognize(), json.dumps(dict(reversed(CHAT.items())), indent=4).encode())
    assert plain.key == packed.key == spaced.key
    assert (await found(recognize(namespace="n"))).key != plain.key
    assert (await found(recognize(), {**CHAT, "seed": 1})).key != plain.key


async def test_queries_that_are_no_text_are_told_apart() -> None:
    keys = [(await found(recognize(), path=f"/v1/chat/completions?a={a}".encode())).key for a in ("%ff", "%fe", "%20")]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("mode", "body", "headers", "request_fields", "reason"),
    [
        ("off", CHAT, {}, {}, "mode is off"),
        ("cache", CHAT, {"upgrade": "WebSocket"}, {}, "websocket"),
        ("cache", CHAT, {"host": "evil.example.com"}, {}, "host header differs"),
        ("cache", CHAT, {"host": "api.openai.com:444"}, {}, "host header differs"),
        ("cache", CHAT, {}, {"path": b"/v1/unheard-of"}, "endpoint not cached"),
        ("read", CHAT, {}, {"path": b"/v1/unheard-of"}, "endpoint not cached"),
        ("cache", b" " * 1001, {}, {}, "request too large"),
        ("record", b" " * 1001, {}, {}, "request too large"),
        ("cache", b'{"model": ', {}, {}, "unreadable body"),
        ("cache", b'{"model": "a", "model": "b"}', {}, {}, "unreadable body"),
        ("cache", b'{"temperature": NaN}', {}, {}, "unreadable body"),
        ("cache", b"[" * 990, {}, {}, "unreadable body"),
        ("cache", b"no gzip", {"content-encoding": "gzip"}, {}, "unreadable body"),
        ("cache", gzip.compress(b" " * 2000, mtime=0), {"content-encoding": "gzip"}, {}, "unreadable body"),
        ("cache", {**CHAT, "previous_response_id": "r"}, {}, {"path": b"/v1/responses"}, "previous_response_id"),
    ],
)
async def test_what_goes_past_the_cache_says_why(
    mode: str, body: Any, headers: dict[str, str], request_fields: dict[str, Any], reason: str
) -> None:
    passed = await seen(recognize(mode), body, headers, **request_fields)
    carried = exchange.of(passed)
    assert carried is not None
    if passed.request.stream:
        await recognize(mode).request(passed)
    assert carried.reason.startswith(reason)
    assert (carried.outcome, carried.key) == (Outcome.PASS, "")
    assert passed.response is None


async def test_what_passes_goes_out_without_the_headers_meant_for_us() -> None:
    marked = {"x-wiretape-match": "content", "x-mine": "1"}
    passed = [await seen(recognize("off"), CHAT, marked), await seen(recognize(), b"{", marked)]
    for one in passed:
        assert "x-wiretape-match" not in one.request.headers
        assert one.request.headers["x-mine"] == "1"


@pytest.mark.parametrize("mode", ["record", "replay"])
async def test_any_call_to_a_provider_can_be_recorded(mode: str) -> None:
    known = await found(recognize(mode), b"", method=b"GET", path=b"/v1/unheard-of?after=x")
    assert known.protocol.name == "other"
    assert known.key
    assert known.reason == ""


async def test_in_replay_mode_nothing_is_streamed_out() -> None:
    large = await seen(recognize("replay"), b" " * 1001)
    assert not large.request.stream
    assert large.response is not None
    assert large.response.status_code == 424
    carried = exchange.of(large)
    assert carried is not None
    assert (carried.reason, carried.key) == ("request too large", "")


async def test_the_level_is_the_clients_to_choose_unless_we_do_not_know_it() -> None:
    keys = {level: (await found(recognize(), CHAT, {"x-wiretape-match": level})).key for level in ("content", "exact")}
    assert len({*keys.values(), (await found(recognize())).key}) == 3
    assert (await found(recognize(match="content"))).key == keys["content"]
    refused = await seen(recognize(), CHAT, {"x-wiretape-match": "fuzzy"})
    assert refused.response is not None
    assert refused.response.status_code == 400
    assert "'fuzzy' is none of normalized, content, exact" in refused.response.json()["error"]["message"]


async def test_hosts_we_do_not_know() -> None:
    passed = await seen(recognize(), host="example.com", scheme=b"http", port=80)
    assert (exchange.of(passed), passed.response, passed.request.stream) == (None, None, True)
    refused = await seen(recognize(unknown="refuse"), host="example.com", scheme=b"http", port=80)
    assert refused.response is not None
    assert refused.response.status_code == 403


@pytest.mark.parametrize(
    ("unknown", "host", "port", "refused"),
    [
        ("pass", "example.com", 443, False),
        ("refuse", "example.com", 443, True),
        ("refuse", "api.openai.com", 443, False),
        ("pass", "127.0.0.1", 8080, True),
    ],
)
def test_tunnels(unknown: str, host: str, port: int, refused: bool) -> None:
    tunnel = flow(method=b"CONNECT", host=host, port=port, scheme=b"")
    tunnel.client_conn.sockname = CONNECTED
    recognize(unknown=unknown).http_connect(tunnel)
    assert (tunnel.response is not None) is refused
    if tunnel.response is not None:
        assert tunnel.response.status_code == 403


async def test_the_door_leads_to_the_provider_and_knows_its_own_paths() -> None:
    here = {"host": "127.0.0.1", "port": 8080, "scheme": b"http", "authority": b""}
    through = await seen(recognize(), CHAT, {"host": "127.0.0.1:8080"}, path=b"/v1/chat/completions", **here)
    assert through.request.url == "https://api.openai.com/v1/chat/completions"
    carried = exchange.of(through)
    assert carried is not None
    assert carried.key == (await found(recognize())).key
    lost = await seen(recognize(), b"", {"host": "127.0.0.1:8080"}, path=b"/", **here)
    assert lost.response is not None
    assert lost.response.status_code == 404
