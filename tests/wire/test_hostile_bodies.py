"""Bodies nobody should send: they pass unread or are refused in clear words, and never make a wrong hit."""

from __future__ import annotations

import gzip
import http.client
import json
import sys

import brotli
import pytest

from tests.wire import behaviours
from tests.wire.asking import ask, chat, got
from tests.wire.conftest import Starting
from tests.wire.hostile import CHAT, HOST, head, memory, raw, said, send
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream

pytestmark = pytest.mark.usefixtures("calm")


AMBIGUOUS = {
    "broken": b'{"model": "m", "messages": [',
    "trailing": b'{"model": "m", "messages": []} {}',
    "empty": b"",
    "not UTF-8": b'{"model": "m", "text": "\xff\xfe"}',
    "byte order mark": b'\xef\xbb\xbf{"model": "m", "messages": []}',
    "UTF-16": '{"model": "m", "messages": []}'.encode("utf-16"),
    "duplicate": b'{"model": "m", "messages": [], "model": "n"}',
    "inner duplicate": b'{"model": "m", "messages": [{"role": "user", "role": "system", "content": "x"}]}',
    "escaped duplicate": b'{"model": "m", "messages": [], "\\u006dodel": "n"}',
    "NaN": b'{"model": "m", "messages": [], "temperature": NaN}',
    "Infinity": b'{"model": "m", "messages": [], "temperature": -Infinity}',
    "1e400": b'{"model": "m", "messages": [], "temperature": 1e400}',
    "100,000 lists": b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "long number": b'{"model": "m", "messages": [], "seed": ' + b"9" * 10_000 + b"}",
    "null": b"null",
    "list": b"[1, 2]",
    "string": b'"text"',
    "wrong types": b'{"model": 5, "messages": {"role": [{}]}, "stream": "yes", "tools": 7, "stream_options": [1]}',
    "strange members": b'{"model": "m", "messages": [null, 1, [], {"role": null, "tool_calls": [1, {"id": {}}]}]}',
}


@pytest.mark.parametrize("name", AMBIGUOUS)
@pytest.mark.parametrize("target", [CHAT, "/v1/responses", "/v1/embeddings"])
def test_strange_bodies_go_their_way_unchanged(
    name: str, target: str, caching: Proxy, replaying: Proxy, upstream: Upstream, salt: str
) -> None:
    salted = f"{target}?salt={salt.replace(' ', '-')}"
    first, second = (send(caching, AMBIGUOUS[name], target=salted) for _ in range(2))
    assert {request.body for request in upstream.seen(salt.replace(" ", "-"))} == {AMBIGUOUS[name]}
    if first.outcome == "pass":
        assert second.outcome == "pass"
        assert first.headers["x-wiretape-reason"]
    before = len(upstream.seen())
    refused = send(replaying, AMBIGUOUS[name], target=target)
    assert refused.status == 424
    assert json.loads(refused.body)["error"]["message"].startswith("wiretape: ")
    assert len(upstream.seen()) == before


@pytest.mark.parametrize("name", [name for name in AMBIGUOUS if name not in ("null", "list", "string", "empty")])
def test_what_two_parsers_could_read_differently_is_not_cached(name: str, caching: Proxy) -> None:
    answer = send(caching, AMBIGUOUS[name])
    strange = name in ("wrong types", "strange members")
    assert answer.outcome == "miss" if strange else answer.headers["x-wiretape-reason"].startswith("unreadable body")


APART = [
    ("big numbers", ', "seed": 18446744073709551616', ', "seed": 18446744073709551617'),
    ("beyond doubles", ', "seed": 9007199254740993', ', "seed": 9007199254740992'),
    ("integer or not", ', "temperature": 1', ', "temperature": 1.0'),
    ("number or text", ', "seed": 5', ', "seed": "5"'),
    ("null or absent", ', "seed": null', ""),
    ("true or 1", ', "seed": true', ', "seed": 1'),
    ("minus zero", ', "temperature": -0.0', ', "temperature": 0.0'),
    ("lone surrogates", ', "stop": "\\ud800"', ', "stop": "\\udfff"'),
    ("surrogate or mark", ', "stop": "\\ud800"', ', "stop": "\\ufffd"'),
    ("composed", ', "stop": "\\u00e9"', ', "stop": "e\\u0301"'),
    ("text or list", ', "stop": "ab"', ', "stop": ["ab"]'),
    ("one or two", ', "stop": ["ab"]', ', "stop": ["a", "b"]'),
    ("false or 0", ', "seed": false', ', "seed": 0'),
    ("empty text or list", ', "stop": ""', ', "stop": []'),
    ("list or object", ', "stop": []', ', "stop": {}'),
    ("run together", ', "user_x": "a", "y": "1"', ', "user_x": "a1", "y": ""'),
]


@pytest.mark.parametrize(("one", "other"), [pair[1:] for pair in APART], ids=[pair[0] for pair in APART])
def test_close_is_not_the_same(one: str, other: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    first, second = send(caching, said(salt, one)), send(caching, said(salt, other))
    assert [first.outcome, second.outcome] == ["miss", "miss"]
    again = send(caching, said(salt, one))
    assert (again.outcome, again.body) == ("hit", first.body)
    assert send(caching, said(salt, other)).body == second.body != first.body


def test_spaces_order_and_escapes_are_the_same(caching: Proxy, salt: str) -> None:
    first = send(caching, said(salt, ', "seed": 7, "stop": "/"'))
    other = json.dumps(
        {"stop": "/", "messages": [{"content": salt, "role": "user"}], "seed": 7, "model": "m"}, indent=9
    )
    again = send(caching, other.replace('"/"', '"\\u002f"').encode())
    assert (again.outcome, again.body) == ("hit", first.body)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("sized", [True, False], ids=["length", "chunked"])
def test_large_bodies_pass_uncached_and_are_not_held(
    sized: bool, proxy: Starting, upstream: Upstream, salt: str
) -> None:
    running = proxy(max_request_bytes="8MiB")
    ask(running, chat(salt))
    before = memory(running)
    block, count = b"x" * (1 << 20), 40
    start = f'{{"model": "m", "messages": [{{"role": "user", "content": "{salt}'.encode()
    pieces = [start, *[block] * count, b'"}]}']
    with running.connection(HOST) as connection:
        given = {"content-type": "application/json"}
        if sized:
            given["content-length"] = str(sum(map(len, pieces)))
        connection.request("POST", CHAT, iter(pieces), given, encode_chunked=not sized)
        answer = got(connection.getresponse())
    assert (answer.status, answer.outcome) == (200, "pass")
    assert answer.headers["x-wiretape-reason"] == "request too large"
    assert len(upstream.seen(salt)[-1].body) == sum(map(len, pieces))
    if sized:
        assert memory(running) - before < 20


def test_large_bodies_are_refused_in_replay(replaying: Proxy, upstream: Upstream) -> None:
    before = upstream.connections
    answer = raw(replaying, head("POST", CHAT, f"Content-Length: {70 << 20}") + b"x" * (70 << 20))
    assert answer.startswith(b"HTTP/1.1 424 ")
    assert upstream.connections == before


CODED = {"gzip": gzip.compress, "br": brotli.compress}


@pytest.mark.parametrize("coding", CODED)
def test_encoded_requests_are_read(coding: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    first = send(caching, CODED[coding](said(salt)), content_encoding=coding)
    assert first.outcome == "miss"
    assert CODED[coding](said(salt)) == upstream.seen()[-1].body, "the provider gets what was sent"
    again = send(caching, said(salt))
    assert (again.outcome, again.body) == ("hit", first.body)


ENCODINGS = {
    "bomb": (gzip.compress(b" " * (200 << 20)), "gzip"),
    "brotli bomb": (brotli.compress(b" " * (200 << 20), quality=5), "br"),
    "wrong": (said("plain"), "gzip"),
    "cut": (gzip.compress(said("plain"))[:-4], "gzip"),
    "trailing": (gzip.compress(said("plain")) + b"more", "gzip"),
    "unknown": (said("plain"), "rot13"),
    "twice": (gzip.compress(gzip.compress(said("plain"))), "gzip, gzip"),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_requests_that_do_not_decode_pass(name: str, caching: Proxy, replaying: Proxy, upstream: Upstream) -> None:
    body, coding = ENCODINGS[name]
    for _ in range(2):
        answer = send(caching, body, content_encoding=coding)
        assert upstream.seen()[-1].body == body
        assert answer.outcome != "hit"
    assert answer.headers["x-wiretape-reason"].startswith("unreadable body")
    before = len(upstream.seen())
    assert send(replaying, body, content_encoding=coding).status == 424
    assert len(upstream.seen()) == before
    assert memory(caching) < 600, "a bomb was unpacked"


@pytest.mark.parametrize("name", ["wrong", "cut", "trailing", "unknown", "twice"])
def test_replies_that_do_not_decode_are_never_kept(name: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    body, coding = ENCODINGS[name]
    upstream.script(salt, behaviours.giving(200, body, [("content-encoding", coding)]), times=1)
    try:
        assert send(caching, said(salt)).status == 502
    except http.client.IncompleteRead:
        assert name not in ("unknown", "twice"), "this is known before any byte has been sent on"
    assert send(caching, said(salt)).outcome == "miss"
