"""What every protocol that takes requests apart has to keep, tried with a provider that knows its inputs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from addons.protocols.base import Answers, BadReply, Batch, Call


def vector(item: Any) -> list[float]:
    """What the simulated provider says to an input: different for different inputs, exact in float32."""
    seed = zlib.crc32(orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
    return [float(seed % 4096), float(seed >> 12), 0.1]


def packed(item: Any) -> bytes:
    return struct.pack("<3f", *vector(item))


def round_trip(protocol: Batch, call: Call, provider: Callable[[Any], bytes]) -> Any:
    """Take a request apart, ask for each different input once in two requests, put the reply together."""
    items = protocol.split(call)
    assert items is not None
    unique = list({orjson.dumps(item): item for item in items}.values())
    known: dict[bytes, bytes] = {}
    rest = None
    for part in (unique[::2], unique[1::2]):
        if part:
            answers = protocol.answers(provider(orjson.loads(protocol.ask(call, part))), len(part))
            rest = answers.rest
            known.update(zip((orjson.dumps(item) for item in part), answers.vectors, strict=True))
    vectors = [known[orjson.dumps(item)] for item in items]
    assert vectors == [packed(item) for item in items]
    reply = protocol.join(call, Answers(vectors, protocol.model(call), 7, rest))
    assert list(protocol.answers(reply, len(items)).vectors) == vectors
    assert protocol.answers(reply, len(items)).tokens == 7
    assert protocol.ending("plain", reply).reason == "stop"
    return orjson.loads(reply)


def refuses_bad_replies(protocol: Batch, reply: Callable[[Sequence[Any]], bytes]) -> None:
    """Wrong counts, unequal lengths, things that are no numbers and other shapes are errors."""
    assert len(protocol.answers(reply([[1.0, 2.0], [3.0, 4.0]]), 2).vectors) == 2
    rows: list[list[Any]] = [[[1.0]], [[1.0], [1.0, 2.0]], [[1.0], [None]], [[1.0], []], [[1.0]] * 3, [[1.0], "ab"]]
    bodies = [reply(each) for each in rows]
    bodies += [reply([[1.0], [2.0]]).replace(b"2.0", b"NaN"), b"", b"{}", b"[]", b"null", reply([[1.0], [2.0]])[:-1]]
    for body in bodies:
        with pytest.raises(BadReply):
            protocol.answers(body, 2)
