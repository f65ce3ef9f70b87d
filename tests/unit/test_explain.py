"""What is told about a request that is not recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.explain import Difference, Explanation, comparable, differences, nearest, short
from addons.protocols import PROTOCOLS
from addons.secrets import document
from cache import Reply
from tests.unit.exchanges import SECRET, made, reply

CHAT = PROTOCOLS["openai_chat"]


def chat(*texts: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text} for text in texts], **more}


def written(body: Any) -> bytes:
    found = made(body)
    assert found.call is not None
    return document(found.call, CHAT, "https://api.openai.com", found.secrets)


def recorded(*bodies: Any) -> list[Reply]:
    return [reply(key=f"{number}" * 64, request=written(body)) for number, body in enumerate(bodies)]


def closest(body: Any, *bodies: Any) -> tuple[int, list[Difference]]:
    found = nearest(written(body), CHAT, recorded(*bodies))
    assert found is not None
    return int(found[0].key[0]), found[1]


def test_the_recording_with_the_fewest_differences_is_nearest() -> None:
    asked = chat("one", "two", temperature=0.5)
    number, found = closest(asked, chat("one"), chat("one", "two"), chat("eins", "zwei", temperature=0.5))
    assert (number, found) == (1, [Difference("temperature", None, "0.5")])


def test_of_equally_many_differences_the_text_decides() -> None:
    texts = ["where is the salt", "summarise the report of July", "sing"]
    number, _ = closest(chat("summarise the report of June"), *map(chat, texts))
    assert number == 1


def test_without_candidates_nothing_is_near() -> None:
    assert nearest(written(chat("x")), CHAT, []) is None


def test_noise_and_order_make_no_difference() -> None:
    asked = chat("x", user="me", metadata={"a": "b"}, stream_options={"include_usage": True})
    assert closest(asked, dict(reversed(chat("x", user="you").items()))) == (0, [])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, [Difference("a.b[1].c", "2", "3")]),
        ({"a": 1}, {"a": 1.0}, [Difference("a", "1", "1.0")]),
        ({"a": 1}, {"a": True}, [Difference("a", "1", "true")]),
        ({"a": None, "k": 0}, {"k": 0}, [Difference("a", "null", None)]),
        ({"k": 0}, {"a": [], "k": 0}, [Difference("a", None, "[]")]),
        ({"a": {}}, {"a": {"b": ""}}, [Difference("a.b", None, '""'), Difference("a", "{}", None)]),
        ({"a": 2**70}, {"a": 2**71}, [Difference("a", str(2**70), str(2**71))]),
        ({"a": "1"}, {"a": 1}, [Difference("a", '"1"', "1")]),
    ],
)
def test_paths_and_both_values(old: dict[str, Any], new: dict[str, Any], expected: list[Difference]) -> None:
    found = [differences(*(comparable(json.dumps({"body": body}).encode(), CHAT) for body in (old, new)))]
    assert found == [expected]


def test_query_and_headers_that_count_are_compared() -> None:
    protocol = PROTOCOLS["anthropic_messages"]
    texts = [
        {"url": "https://h/p?beta=true", "headers": [["anthropic-beta", "x"], ["accept", "a"]], "body": {}},
        {"url": "https://h/p", "headers": [["accept", "b"]], "body": {}},
    ]
    old, new = (comparable(json.dumps(text).encode(), protocol) for text in texts)
    paths = {difference.path for difference in differences(old, new)}
    assert "header.accept" not in paths
    assert paths <= {"query.beta", "header.anthropic-beta"}
    assert paths


def test_long_texts_are_shortened_around_their_difference() -> None:
    same = "x" * 500
    old, new = short(f"{same}OLD{same}", f"{same}NEW{same}"), short(f"{same}NEW{same}", f"{same}OLD{same}")
    for text, word in ((old, "OLD"), (new, "NEW")):
        assert word in text
        assert len(text) < 80
        assert text.startswith('"…')
        assert text.endswith('…"')
    assert short("y" * 500).endswith('…"')
    assert short("y" * 500, "y" * 499).endswith('yyy"')
    assert short([1] * 500).startswith("[1,1")
    assert len(short([1] * 500)) < 80


def test_no_secret_is_told() -> None:
    _, found = closest(chat(f"key {SECRET}", api_key=SECRET), chat("key", api_key="another-secret-value"))
    assert found
    assert SECRET not in str(found)
    assert "another-secret-value" not in str(found)


def test_what_people_and_scripts_read() -> None:
    many = [Difference(f"messages[{n}]", "1", None) for n in range(7)]
    told = Explanation("differs", "abc (m)", many, "run.py …")
    lines = str(told).splitlines()
    assert lines[:2] == ["not recorded (differs)", "nearest recording: abc (m)"]
    assert lines[2] == "  messages[0]: recorded 1, asked nothing"
    assert lines[-2:] == ["  and 2 more differences", "record it with: run.py …"]
    content = told.as_json()
    assert content["reason"] == "differs"
    assert len(content["differences"]) == 7
    assert content["differences"][0] == {"path": "messages[0]", "recorded": "1", "asked": None}
    bare = Explanation("nothing recorded for this host")
    assert str(bare) == "not recorded (nothing recorded for this host)"
    assert bare.as_json() == {"reason": bare.reason, "nearest": None, "differences": [], "record_with": None}
