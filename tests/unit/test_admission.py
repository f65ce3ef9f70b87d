"""Which answers are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.admission import Admission
from addons.tape import Tape, UpstreamError
from tests.unit.exchanges import SECRET, directives, made

KEEP = {"normalized": ("length",), "content": (), "exact": ("length", "refusal", "empty")}


def answer(finish: str = "stop", content: str | None = "hi") -> bytes:
    message = {"role": "assistant", "content": content}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}).encode()


def tape(status: int = 200, headers: list[tuple[str, str]] | None = None) -> Tape:
    made_tape = Tape(1000)
    made_tape.begin(status, "", headers or [("content-type", "application/json")])
    return made_tape


def why(body: bytes, kept: Tape | None = None, *, record_errors: bool = False, **fields: Any) -> str:
    reason, _ = Admission(KEEP, record_errors).refuses(made(**fields), kept or tape(), body)
    return reason


@pytest.mark.parametrize(
    ("body", "level", "reason"),
    [
        (answer(), "normalized", ""),
        (answer(), "content", ""),
        (answer("length"), "normalized", ""),
        (answer("length"), "content", "length"),
        (answer("content_filter"), "normalized", "refusal"),
        (answer("content_filter"), "exact", ""),
        (answer(content=""), "normalized", "empty"),
        (answer(content=""), "exact", ""),
        (answer()[:-2], "exact", "cut"),
        (b"", "exact", "cut"),
        (b'{"error": {"message": "no"}}', "exact", "error"),
    ],
)
async def test_endings_are_kept_by_level(body: bytes, level: str, reason: str) -> None:
    assert why(body, level=level) == reason
    recorded = "" if reason not in ("cut", "error") else reason
    assert why(body, level=level, mode="record") == recorded


async def test_broken_and_overlong_answers_are_not_kept() -> None:
    broken, long = tape(), tape()
    broken.finish(UpstreamError("gone"))
    long.add(b"x" * 1001)
    for mode in ("cache", "record"):
        assert why(answer(), broken, mode=mode) == "cut"
        assert why(answer(), long, mode=mode) == "too large"


@pytest.mark.parametrize("status", [199, 301, 400, 429, 500])
async def test_errors_are_kept_by_record_mode_alone_and_only_when_told(status: int) -> None:
    assert why(b"{}", tape(status), record_errors=True) == f"status {status}"
    assert why(b"{}", tape(status), mode="record") == f"status {status}"
    assert why(b"{}", tape(status), mode="record", record_errors=True) == ""
    told = f"no such key: {SECRET}".encode()
    assert why(told, tape(status), mode="record", record_errors=True) == "credential in reply"


async def test_no_store_is_heeded_but_in_record_mode() -> None:
    said = directives(no_store=True)
    assert why(answer(), directives=said) == "no-store"
    assert why(answer(), directives=said, mode="record") == ""


@pytest.mark.parametrize(("body", "reason"), [(b"ID3 half a song", "cut"), (b"", "cut"), (b'{"a": 1}', "")])
async def test_an_answer_without_an_end_of_its_own_is_kept_by_record_mode_alone(body: bytes, reason: str) -> None:
    unending = tape()
    unending.delimited = False
    assert why(body, unending, protocol="other") == reason
    assert why(body, unending, protocol="other", mode="record") == why(body, tape(), protocol="other") == ""


async def test_an_answer_that_repeats_a_credential_is_not_kept() -> None:
    assert why(answer(content=f"your key is {SECRET}")) == "credential in reply"
    assert why(answer(), tape(headers=[("content-type", f"text/{SECRET}")])) == "credential in reply"
    assert why(answer(), tape(headers=[("x-never-kept", SECRET)])) == ""
