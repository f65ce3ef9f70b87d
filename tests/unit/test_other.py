from __future__ import annotations

from typing import Any

import pytest

from addons.identity import settled
from addons.protocols.base import Call
from addons.protocols.other import Other

OTHER = Other()


def call(method: str = "POST", raw: bytes = b"", body: Any = None) -> Call:
    return Call(method=method, path="/v1/moderations", raw=raw, body=body)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (call(body={"input": "hi"}), None),
        (call(raw=b"\x00", body=None), None),
        (call("GET"), "get request"),
        (call("DELETE"), "delete request"),
        (call(body={"input": "hi", "previous_response_id": "resp_1"}), "previous_response_id"),
        (call(body={"conversation": "conv_1"}), "conversation"),
        (call(body={"images": [{"file_id": "file-1"}]}), "file_id"),
    ],
)
def test_refuses(asked: Call, reason: str | None) -> None:
    assert OTHER.refuses(asked) == reason


def test_the_whole_request_decides() -> None:
    assert settled(OTHER, {"user": "a", "stream": True}) == {"user": "a", "stream": True}
    assert OTHER.form(call(body={"stream": True})) == "plain"
    contents = [OTHER.content(asked) for asked in (call(body={"a": 1}), call(raw=b"\x00"), call(raw=b"\x01"), call())]
    assert all(one != other for index, one in enumerate(contents) for other in contents[:index])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "stop"),
        (b"data: x\n\ndata: [DONE]\n\n", "stop"),
        (b"event: message_stop\ndata: plain text\n\n", "stop"),
        (b"event: error\ndata: {}\n\n", "error"),
        (b'data: {"type": "x.done"}\n', "cut"),
        (b": nothing yet\n\n", "cut"),
        (b'{"a": 1}\n{"b": ', "cut"),
    ],
)
def test_endings_of_unknown_replies(body: bytes, reason: str) -> None:
    assert OTHER.ending("plain", body).reason == reason
