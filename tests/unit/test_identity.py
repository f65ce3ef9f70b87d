"""What makes two requests the same at each level, and nothing else."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.identity import LEVELS, key_of, settled
from addons.protocols import PROTOCOLS
from addons.protocols.base import Call

CHAT = PROTOCOLS["openai_chat"]
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def _call(body: Any = BODY, **given: Any) -> Call:
    raw = given.pop("raw", None)
    text = json.dumps(body).encode() if raw is None else raw
    return Call(**{"method": "POST", "path": "/v1/chat/completions", "raw": text, "body": body, **given})


def _key(body: Any = BODY, *, level: str = "normalized", protocol: str = "openai_chat", **given: Any) -> str:
    around = {name: given.pop(name) for name in ("namespace", "provider", "host", "credentials") if name in given}
    call = given.pop("call", None) or _call(body, **given)
    fixed: dict[str, Any] = {"namespace": "", "provider": "openai", "host": "api.openai.com"}
    return key_of(call, PROTOCOLS[protocol], level=level, **(fixed | around))


def _all_apart(keys: list[str]) -> bool:
    return len(set(keys)) == len(keys)


def test_a_key_is_a_whole_sha_256() -> None:
    for level in LEVELS:
        assert len(_key(level=level)) == 64
        assert int(_key(level=level), 16) >= 0


@pytest.mark.parametrize("level", LEVELS)
def test_namespace_provider_host_and_level_count_everywhere(level: str) -> None:
    keys = [_key(level=level), _key(level=level, namespace="n"), _key(level=level, provider="azure")]
    keys += [_key(level=level, host="eu.api.openai.com"), *(_key(level=other) for other in LEVELS if other != level)]
    assert _all_apart(keys)


@pytest.mark.parametrize("names", list(itertools.combinations(["a", "a:b", "a\0", "a\n", "vk:a", "а"], 2)))
def test_no_name_of_a_namespace_reaches_another(names: tuple[str, str]) -> None:
    assert _all_apart([_key(namespace=name) for name in names])
    assert _key(namespace=names[0], provider=names[1]) != _key(namespace=names[0] + names[1], provider="")


APART: list[tuple[Any, Any]] = [
    ({"user_x": "a", "seed": 1}, {"user_x": "aseed: 1"}),
    ({"input": "1,2,3"}, {"input": [1, 2, 3]}),
    ({"stop": ["ab"]}, {"stop": ["a", "b"]}),
    ({"stop": ["ab"]}, {"stop": "ab"}),
    ({"seed": "5"}, {"seed": 5}),
    ({"temperature": 1}, {"temperature": 1.0}),
    ({"temperature": -0.0}, {"temperature": 0.0}),
    ({"seed": 2**64}, {"seed": 2**64 + 1}),
    ({"seed": 2**64}, {"seed": float(2**64)}),
    ({"seed": 2**53 + 1}, {"seed": 2**53}),
    ({"seed": None}, {}),
    ({"seed": True}, {"seed": 1}),
    ({"seed": False}, {"seed": None}),
    ({"stop": "\ud800"}, {"stop": "\udfff"}),
    ({"stop": "\ud800"}, {"stop": "\\ud800"}),
    ({"stop": "\u00e9"}, {"stop": "e\u0301"}),
    ({"stop": ""}, {"stop": []}),
    ({"x": {}}, {"x": []}),
    ({"x": {"a": {"b": 1}}}, {"x": {"a.b": 1}}),
    ({"x": [[1], [2]]}, {"x": [[1, 2]]}),
    ({"x": [1, 2]}, {"x": [2, 1]}),
    ({"x": "a", "y": "b"}, {"x": "b", "y": "a"}),
    ({"x": 1e-320}, {"x": 0.0}),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_values_that_look_alike_are_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert _key({**BODY, **one}) != _key({**BODY, **other})


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _spelled(value: Any) -> str:
    """A text that two JSON values have in common only if they are the same but for the order of members."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name!r}:{_spelled(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_spelled, value)) + "]"
    return f"{type(value).__name__} {value!r}"


@given(_json, _json)
def test_two_keys_agree_only_for_one_value(one: Any, other: Any) -> None:
    assert (_key({**BODY, "x": one}) == _key({**BODY, "x": other})) == (_spelled(one) == _spelled(other))


@given(st.dictionaries(st.text(), _json, min_size=2, max_size=6), st.randoms())
def test_the_order_of_members_does_not_count(members: dict[str, Any], random: Any) -> None:
    names = list(members)
    random.shuffle(names)
    assert _key({**BODY, "x": members}) == _key({"x": {name: members[name] for name in names}, **BODY})


def test_within_schemas_the_order_counts() -> None:
    def tool(parameters: Any) -> dict[str, Any]:
        return {**BODY, "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]}

    one = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    other = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
    assert _key(tool(one)) != _key(tool(other))
    swapped = {**BODY, "tools": [{"function": {"parameters": one, "name": "f"}, "type": "function"}]}
    assert _key(tool(one)) == _key(swapped)


@pytest.mark.parametrize("name", ["stream", "user", "metadata", "prompt_cache_key", "safety_identifier"])
def test_noise_does_not_count(name: str) -> None:
    assert name in CHAT.noise
    assert _key({**BODY, name: "x"}) == _key({**BODY, name: "y"}) == _key()
    assert _key({**BODY, name: "x"}, level="exact") != _key(level="exact")


def test_noise_is_noise_in_its_place_only() -> None:
    assert _key({**BODY, "x": {"user": "a"}}) != _key({**BODY, "x": {"user": "b"}})
    marked = {**BODY, "messages": [{**BODY["messages"][0], "cache_control": {"type": "ephemeral"}}]}
    assert _key(marked) == _key()
    assert settled(CHAT, marked) == settled(CHAT, BODY)
    assert "cache_control" in marked["messages"][0], "the request itself was altered"


def test_a_request_is_not_altered() -> None:
    body = {**BODY, "user": "u", "tools": [{"function": {"parameters": {"a": 1}}}]}
    before = json.dumps(body)
    for level in LEVELS:
        _key(body, level=level)
    assert json.dumps(body) == before


def test_content_is_roles_and_content_alone() -> None:
    same = {"model": "other", "temperature": 1, "seed": 5, "tools": [], **{"messages": BODY["messages"]}}
    assert _key(same, level="content") == _key(level="content")
    for message in ({"role": "system", "content": "hello"}, {"role": "user", "content": "hello "}):
        assert _key({**BODY, "messages": [message]}, level="content") != _key(level="content")


def test_exact_is_path_bytes_and_credential() -> None:
    exact = [
        _key(level="exact"),
        _key(level="exact", raw=json.dumps(BODY, indent=1).encode()),
        _key(level="exact", path="/v1/chat/completions/"),
        _key(level="exact", headers={"openai-beta": "a"}),
        _key(level="exact", credentials=["one-credential"]),
        _key(level="exact", credentials=["other-credential"]),
        _key(level="exact", credentials=["\ud800 odd"]),
    ]
    assert _all_apart(exact)
    assert _key(level="exact", credentials=["a", "b"]) == _key(level="exact", credentials=["b", "a"])
    assert _key(credentials=["one-credential"]) == _key(credentials=["other-credential"])


def test_queries() -> None:
    def asked(*pairs: tuple[str, str]) -> str:
        return _key(query=pairs)

    assert _all_apart([asked(), asked(("a", "1")), asked(("a", "2")), asked(("a", "1"), ("a", "2")), asked(("b", "1"))])
    assert asked(("a", "1"), ("a", "2")) != asked(("a", "2"), ("a", "1"))
    assert asked(("a", "1"), ("b", "2")) == asked(("b", "2"), ("a", "1"))
    assert asked(("key", "one")) == asked(("key", "two")) == asked()
    assert asked(("a", "1&b=2")) != asked(("a", "1"), ("b", "2"))


def test_headers_that_change_answers() -> None:
    assert _key(headers={"openai-beta": "a"}) != _key(headers={"openai-beta": "b"}) != _key()
    assert _key(headers={"user-agent": "a", "authorization": "x"}) == _key()


def test_method_and_operation_count() -> None:
    assert _all_apart([_key(), _key(method="GET"), _key(path="/v2/chat/completions")])
    one, other = ("/v1/images", "/v1/audio")
    assert _key(protocol="other", path=one) != _key(protocol="other", path=other)


def test_what_has_no_conversation_is_told_apart_by_content_too() -> None:
    def read(method: str = "GET", **fields: Any) -> str:
        return _key(level="content", protocol="other", call=Call(method, "/v1/files", **fields))

    assert _all_apart([read(), read("DELETE"), read(query=(("after", "a"),)), read(query=(("after", "b"),))])
    assert read(query=(("key", "one"),)) == read(query=(("key", "two"),))


def test_bodies_that_are_not_json_count_by_their_type() -> None:
    kinds = ["audio/wav", "audio/l16; rate=8000", "audio/l16; rate=16000"]
    calls = [Call("POST", "/x", headers={"content-type": kind}, raw=b"a") for kind in kinds]
    assert _all_apart([_key(protocol="other", call=call) for call in calls])


def test_bodies_that_are_not_json_count_by_their_bytes() -> None:
    def form(boundary: str, text: str) -> str:
        raw = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{text}\r\n--{boundary}--\r\n'.encode()
        kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
        return _key(protocol="other", call=Call("POST", "/v1/files", headers=kind, raw=raw))

    assert form("one", "text") == form("other", "text")
    assert form("one", "text") != form("one", "texts")
    assert _key(protocol="other", call=Call("POST", "/x", raw=b"a")) != _key(
        protocol="other", call=Call("POST", "/x", raw=b"b")
    )


def test_no_body_is_not_null() -> None:
    assert _key(protocol="other", call=Call("POST", "/x")) == _key(protocol="other", call=Call("POST", "/x", body=None))
    assert _key(protocol="other", call=Call("POST", "/x", body={})) != _key(protocol="other", call=Call("POST", "/x"))
