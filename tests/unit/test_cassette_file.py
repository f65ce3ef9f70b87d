"""What is written to a cassette file reads back the same, reads well, and breaks with a line number."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.cassette.file import dump_replies, dump_vectors, load_cassette
from cache.cassette.yaml_text import BrokenCassette, OneLine, dump, is_representable, load
from cache.entry import Chunk, Reply, Usage, Vector
from cache.store import StoreError
from tests import traffic

REQUEST = (
    b'{"method":"POST","url":"https://api.example.com/v1/chat/completions",'
    b'"headers":[["content-type","application/json"]],'
    b'"body":{"model":"gpt-x","messages":[{"role":"user","content":"Hello"}],"temperature":0.10}}'
)


def a_reply(body: bytes = b'{"ok":true}', **changes: Any) -> Reply:
    reply = Reply(
        tenant="local",
        key="ab" * 32,
        form="plain",
        provider="openai",
        protocol="openai_chat",
        host="api.example.com",
        operation="/v1/chat/completions",
        model="gpt-x",
        request=REQUEST,
        status=200,
        headers=(("content-type", "application/json"),),
        body=body,
        usage=Usage(input_tokens=3, output_tokens=0),
        upstream_ms=120,
        created=1767225600.25,
    )
    return replace(reply, **changes)


def through(*replies: Reply) -> tuple[Reply, ...]:
    return load_cassette(dump_replies(replies)).replies


def body_entry(body: bytes, chunks: tuple[Chunk, ...] = ()) -> dict[str, Any]:
    entry: dict[str, Any] = load(dump_replies([a_reply(body, chunks=chunks)]).decode())["replies"][0]["body"]
    return entry


def test_a_file_reads_like_this() -> None:
    body = b'{\n  "id": "x",\n  "text": "one\\ntwo",\n  "score": 1.0,\n  "on": null\n}\n'
    again = a_reply(b"busy", status=429, ordinal=1, usage=Usage())
    assert (
        dump_replies([again, a_reply(body)]).decode()
        == """\
wiretape: 1
provider: openai
protocol: openai_chat
operation: /v1/chat/completions
host: api.example.com
model: gpt-x
key: abababababababababababababababababababababababababababababababab
form: plain
request:
  method: POST
  url: https://api.example.com/v1/chat/completions
  headers:
  - content-type: application/json
  body:
    model: gpt-x
    messages:
    - role: user
      content: Hello
    temperature: 0.10
replies:
- status: 200
  created: "2026-01-01T00:00:00.25Z"
  upstream_ms: 120
  ending: stop
  usage:
    input_tokens: 3
    output_tokens: 0
  headers:
  - content-type: application/json
  body:
    layout: indent-2
    after: "\\n"
    json:
      id: x
      text: |-
        one
        two
      score: 1.0
      "on": null
- status: 429
  created: "2026-01-01T00:00:00.25Z"
  upstream_ms: 120
  ending: stop
  headers:
  - content-type: application/json
  body:
    text: busy
"""
    )


def test_a_stream_reads_like_this() -> None:
    events = [
        b'event: start\ndata: {"type":"start"}\n\n',
        b": still working\n\n",
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b"data: [DONE]\n\n",
    ]
    chunks = (Chunk(1500, len(events[0])), Chunk(2500, len(events[1] + events[2])), Chunk(4000, len(events[3])))
    assert body_entry(b"".join(events), chunks) == load("""\
sse:
- at: 1500
  event: start
  json:
    type: start
- at: 2500
  comment: still working
- event: ping
  data: '{"type": "ping"}'
- at: 4000
  data: "[DONE]"
""")


def test_chunks_that_cut_through_events_stand_beside() -> None:
    body = b'data: {"a":1}\n\ndata: {"b":2}\n\n'
    entry = body_entry(body, (Chunk(10, 3), Chunk(20, 0), Chunk(30, len(body) - 3)))
    assert entry["chunks"] == f"10+3 20+0 30+{len(body) - 3}\n"
    assert not any("at" in piece for piece in entry["sse"])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "text"),
        (b"Hello\nworld \n", "text"),
        (b"\x89PNG\r\n\x1a\n\x00", "base64"),
        (b'{"a":1}', "json"),
        (b'  \n {"a": [1, 2.50, -0, 1e-7, 1E400]}\n\n', "json"),
        (b'{"a": "\\u00e9","b": 1}', "json"),
        (b'{"a":"\\u003cb\\u003e \\u0026"}', "json"),
        (b'{"url":"https:\\/\\/example.com"}', "json"),
        (b"[\n\t1,\n\t{}\n]", "json"),
        (b'{"a":1,"a":2}', "text"),
        (b'{"a" : 1}', "text"),
        (b'{"a":"\\ud83d"}', "text"),
        (b'{"a":NaN}', "text"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "text"),
        (b'{"' + b"n" * 500 + b'":1}', "text"),
        (b'\xef\xbb\xbf{"a":1}', "text"),
        (b'data: {"a": 1}\r\n\r\ndata: [DONE]\r\n\r\n', "sse"),
        (b'data:{"a":1}\n\ndata:[DONE]\n', "sse"),
        (b'data: {"a":1}\n\n\n\nid: 7\nretry: 10\ndata: x\ndata: y\n\ndata: {"cut', "sse"),
        (b"data: \xff\n\n", "base64"),
        (b"data\n\n:", "text"),
        (b'{"a": 1, "b": 2}\n{"a": 2, "b": []}\n', "ndjson"),
        (b'{"a":1}\n{"a":2}\n{"a": 3}\nend', "ndjson"),
    ],
)
def test_every_body_comes_back_and_is_kept_as_readable_as_it_can_be(body: bytes, kind: str) -> None:
    reply = a_reply(body)
    assert through(reply) == (reply,)
    assert kind in body_entry(body)


AWKWARD = [
    *("no", "on", "Yes", "null", "~", "1e5", "0x1f", "1_000", "2026-01-01", "12:30:00", "=", "<<", "&a", "*a"),
    *("!a", "%a", "@", "---", "...", "a:", "\U0001f600", "'\"\\"),
    *("", " ", "x ", "\t", "\x85", "\u2028", "\ufeff", "\x00", "\x7f", "- a", "a: b", "a #b", "? a", "| a"),
    *("\n", "\n\n", "a\n\n", " a\nb", "\ta\n", "a \nb", "a\r\nb", "\na", "a\n \nb", "a\n---\nb", "a\n  \n"),
    *("\\\n", '"\n"', "x" * 5000, "\U0001f600 x\nzwei\u00a0\n"),
]


@pytest.mark.parametrize("text", AWKWARD)
def test_strings_other_readers_stumble_over_come_back(text: str) -> None:
    value = {"plain": text, "list": [text, [text, {text[:99]: text}]], text[:99]: {"last": text}}
    written = dump(value)
    assert load(written) == value
    assert yaml.safe_load(written) == value
    # White space at the end of a line would not survive editors and commit hooks.
    assert not any(line.endswith((" ", "\t")) for line in written.split("\n"))


_texts = st.text(st.characters(codec="utf-8"))
_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
).filter(is_representable)
_traps = st.sampled_from("ab :#-'\"\\\n\r\t\x00\x85\u2028\u2029\ufeff\U0001f600{}[]|>&*!%@?,=~0")
_awkward = st.text(_traps, max_size=30)


@given(value=_values, text=_awkward)
@settings(max_examples=150, deadline=None)
def test_any_value_comes_back_from_yaml(value: Any, text: str) -> None:
    document = {
        "value": value,
        "text": text,
        "list": [text, value],
        "line": OneLine({"a": value, "no": text, text: [text]}),
    }
    assert load(dump(document)) == document
    assert load(dump(document, blocks=False)) == document


_parts = ["data: ", "data:", "event: x", ": c", '{"a":1}', '{"a": "\\u00e9"}', "[DONE]", " ", "é", "\x00"]
_ends = ["\n", "\n\n", "\r\n"]
_streams = st.lists(st.sampled_from(_parts + _ends), max_size=15).map("".join)
_bodies = st.binary(max_size=60) | (_texts | _streams).map(str.encode)
_json_bodies = _values.flatmap(
    lambda value: st.sampled_from([None, 1, 2, 3, 4, "\t"]).flatmap(
        lambda indent: st.booleans().map(lambda ascii: json.dumps(value, indent=indent, ensure_ascii=ascii).encode())
    )
)


@given(body=_bodies | _json_bodies, data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_body_in_any_chunks_comes_back(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    edges = [0, *cuts, len(body)]
    lengths = [after - before for before, after in itertools.pairwise(edges)] if cuts else []
    chunks = tuple(Chunk(offset, length) for offset, length in zip(range(-1, 1000, 7), lengths, strict=False))
    reply = a_reply(body, chunks=chunks)
    assert through(reply) == (reply,)


@given(body=_json_bodies)
@settings(max_examples=100, deadline=None)
def test_json_of_common_writers_is_kept_as_a_structure(body: bytes) -> None:
    assert "json" in body_entry(body)


@given(
    headers=st.lists(st.tuples(st.text(max_size=10), st.text(max_size=20)), max_size=3),
    model=st.text(st.characters(codec="utf-8"), max_size=20),
    request=st.binary(max_size=30) | _json_bodies,
    created=st.just(0.0) | st.floats(0.001, 2e11) | st.floats(1.7e9, 1.9e9),
    usage=st.builds(Usage, *[st.none() | st.integers(0, 2**40)] * 4),
)
@settings(max_examples=150, deadline=None)
def test_every_field_comes_back(
    headers: list[tuple[str, str]], model: str, request: bytes, created: float, usage: Usage
) -> None:
    first = a_reply(headers=tuple(headers), model=model, request=request, created=created, usage=usage)
    second = replace(first, ordinal=5, model="other", request=REQUEST, ending="length", version=3, host="b")
    assert through(first, second) == (first, second)


def test_headers_that_are_not_utf8_come_back() -> None:
    reply = a_reply(headers=(("x-name", "caf\udce9"), ("x-name", "two")))
    assert through(reply) == (reply,)


def test_hits_and_last_use_are_not_written() -> None:
    reply = a_reply()
    assert dump_replies([replace(reply, hits=7, last_used=9.5)]) == dump_replies([reply])


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "Set-Cookie", "X-Goog-Api-Key", "proxy-authorization"])
def test_what_looks_like_a_credential_is_not_written(name: str) -> None:
    with pytest.raises(StoreError, match=f"(?i){name}.*credential"):
        dump_replies([a_reply(headers=((name, "secret-value"),))])
    request = json.dumps({"method": "POST", "url": "u", "headers": [[name, "secret-value"]], "body": None}).encode()
    with pytest.raises(StoreError, match=f"(?i){name}.*credential") as caught:
        dump_replies([a_reply(request=request)])
    assert "secret-value" not in str(caught.value)


def test_chunks_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(StoreError, match=r"cannot be written to a cassette exactly: .*add up to 3 bytes"):
        dump_replies([a_reply(b"four", chunks=(Chunk(0, 3),))])


GOOD = dump_replies([a_reply()]).decode()


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("wiretape: 1", "wiretape: 2", 1, "written in format 2"),
        ("wiretape: 1\n", "", 1, "not a cassette"),
        ("form: plain\n", "", 1, "'form' is missing"),
        ("form: plain", "form: 7", 8, "'form' must be a string"),
        ("status: 200", "status: ok", 21, "'status' must be a whole number"),
        ("- status: 200\n  created", "- created", 21, "'status' is missing"),
        ("2026-01-01T", "2026-13-01T", 22, "'created' must be a UTC time"),
        ("  body:\n    json:\n      ok: true\n", "  body:\n    base64: a?b\n", 31, "is not base64"),
        ("    json:\n      ok: true\n", "    json: 1\n    layout: pretty\n", 32, "the layout 'pretty' is not known"),
        ("    json:\n      ok: true\n", "    nothing: 1\n", 31, "exactly one of sse"),
        ("    json:\n      ok: true\n", "    sse:\n    - datum: x\n", 32, "'datum' is not a part of a stream"),
        ("    json:\n      ok: true\n", "    sse:\n    - data: 1\n", 32, "'data' must be a string"),
        ("    json:\n", "    chunks: 1+2\n    json:\n", 31, "add up to 2 bytes and the body has 11"),
        ("    json:\n", "    chunks: 1-2\n    json:\n", 31, "is not offset+length"),
        ("model: gpt-x\nkey", "model: gpt-x\nmodel: gpt-y\nkey", 7, "'model' stands twice"),
        ("model: gpt-x\nkey", "<<<<<<< ours\nmodel: gpt-x\nkey", 6, "a merge conflict is not resolved (<<<<<<<)"),
        ("model: gpt-x\nkey", "model: &a gpt-x\nkey", 6, "anchors and aliases"),
        ("model: gpt-x\nkey", "model: !!python/name:os.system x\nkey", 6, "is not allowed"),
        ("model: gpt-x\nkey", "model: 'gpt-x\nkey", 6, "not YAML"),
        ("model: gpt-x\nkey", "model: \x01\nkey", 6, "a character YAML does not allow"),
        ("model: gpt-x\nkey", "model: gpt-x\n\tx\nkey", 7, "not YAML"),
        ("  ending: stop\n", "  ending: stop\n  ordinal: x\n", 25, "'ordinal' must be a whole number"),
    ],
)
def test_a_broken_file_is_told_with_its_line(old: str, new: str, line: int, what: str) -> None:
    assert GOOD.count(old) == 1 or old in ("    json:\n",)
    with pytest.raises(BrokenCassette) as caught:
        load_cassette(GOOD.replace(old, new).encode())
    assert (caught.value.line, what in caught.value.what) == (line, True), str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"- a", b"a: \xff", b"wiretape: 1\n---\na: 1", b"[" * 5000, b"wiretape: 1\nreplies: []", b"? [a]\n: b"],
)
def test_what_is_no_cassette_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenCassette):
        load_cassette(data)


def test_ordinals_must_rise() -> None:
    text = dump_replies([a_reply(), a_reply(ordinal=1)]).decode()
    with pytest.raises(BrokenCassette, match="ordinal 0 is out of order"):
        load_cassette(text.replace("- status", "- ordinal: 0\n  status").encode())


def test_vectors_come_back_sorted_by_key() -> None:
    values = b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
    one = Vector("local", "0b" * 32, "openai", "h", "m", 2, values, text="no", tokens=3, created=1.5)
    two = replace(one, key="0a" * 32, text="line\nline ", values=b"", dimensions=0, host="other", version=2)
    assert load_cassette(dump_vectors([one, two])).vectors == (two, one)
    assert dump_vectors([one, two]) == dump_vectors([replace(two, hits=3), one])
    with pytest.raises(BrokenCassette, match="8 bytes are not 3 float32 values"):
        load_cassette(dump_vectors([one]).replace(b"dimensions: 2", b"dimensions: 3"))


@pytest.mark.skipif(not traffic.present(), reason=traffic.MISSING)
def test_recorded_traffic_comes_back_byte_for_byte_and_readable() -> None:
    kinds: Counter[str] = Counter()
    with gzip.open(traffic.PATH, "rt", encoding="utf-8") as lines:
        for line in lines:
            exchange = json.loads(line)
            for body in _bodies_of(exchange["response"]["body"]):
                headers = tuple((name, value) for name, value in exchange["response"]["headers"])
                request = json.dumps(exchange["request"], ensure_ascii=False, separators=(",", ":")).encode()
                reply = a_reply(body, headers=headers, request=request)
                data = dump_replies([reply])
                assert load_cassette(data).replies == (reply,)
                entry = load(data.decode())["replies"][0]["body"]
                kinds.update(kind for kind in ("sse", "json", "text", "base64") if kind in entry)
    assert kinds == {"json": 1136, "sse": 49, "base64": 5}


def _bodies_of(body: dict[str, Any]) -> list[bytes]:
    if "json" not in body:
        return [base64.b64decode(body["base64"]) if "base64" in body else body["text"].encode()]
    value = body["json"]
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return [compact.encode(), json.dumps(value, indent=2).encode(), json.dumps(value).encode()]
