"""Split, ask, merge: whatever the mix of known and unknown inputs, the client gets what it asked for, in its order."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from addons.embeddings import Embeddings
from addons.exchange import Exchange, Outcome
from addons.tape import UpstreamError
from addons.upstream import Ask
from cache import Store, open_store
from tests.unit.exchanges import SECRET, Scripted, directives, flow, made, rules

INPUTS = st.lists(st.sampled_from(["a", "b", "cc", "ddd", "[1, 2]", "é"]), min_size=1, max_size=12)


def vector(item: Any) -> list[float]:
    seed = zlib.crc32(json.dumps(item).encode())
    return [float(seed % 4096), float(seed >> 12)]


def provider(ask: Ask) -> tuple[int, bytes]:
    """One token for each character of each input, vectors in any order."""
    given_inputs = json.loads(ask.body)["input"]
    rows = [{"index": at, "embedding": vector(item)} for at, item in enumerate(given_inputs)]
    used = sum(map(len, given_inputs))
    reply = {"data": rows[::-1], "model": "m", "usage": {"prompt_tokens": used, "total_tokens": used}}
    return 200, json.dumps(reply).encode()


class Asking:
    """The addon with a scripted provider behind it."""

    def __init__(self, store: Store, answer: Callable[[Ask], tuple[int, bytes] | UpstreamError] = provider) -> None:
        self.upstream = Scripted(answer)
        self.addon = Embeddings(store, self.upstream, rules())  # type: ignore[arg-type]

    async def ask(self, inputs: Any, body: dict[str, Any] | None = None, **fields: Any) -> tuple[Exchange, Any]:
        asked = {"model": "m", "input": inputs, **(body or {})}
        found = made(asked, protocol="openai_embeddings", outcome=Outcome.PASS, **fields)
        assert found.call is not None
        passing = flow(found, path=b"/v1/embeddings", content=found.call.raw)
        await self.addon.request(passing)
        return found, passing.response

    def inputs(self) -> list[list[Any]]:
        return [json.loads(ask.body)["input"] for ask in self.upstream.asked]


def rows(response: http.Response) -> list[list[float]]:
    assert response.status_code == 200
    numbered = {row["index"]: row["embedding"] for row in response.json()["data"]}
    return [numbered[at] for at in range(len(numbered))]


@given(st.lists(INPUTS, min_size=1, max_size=4), st.integers(1, 3))
def test_any_mix_keeps_the_clients_order(requests: list[list[str]], batch: int) -> None:
    async def check() -> None:
        store = await open_store("sqlite://")
        try:
            asking = Asking(store)
            small = dataclasses.replace(made().provider, max_batch=batch)
            known: set[str] = set()
            for inputs in requests:
                asked = len(asking.upstream.asked)
                found, response = await asking.ask(inputs, provider=small)
                assert rows(response) == [vector(item) for item in inputs]
                sent = asking.inputs()[asked:]
                new = list(dict.fromkeys(item for item in inputs if item not in known))
                assert [item for part in sent for item in part] == new
                assert all(len(part) <= batch for part in sent)
                expected = "hit" if not new else "partial" if known & set(inputs) else "miss"
                assert str(found.outcome) == expected
                assert response.json()["usage"]["total_tokens"] == sum(map(len, inputs))
                known.update(inputs)
        finally:
            await store.close()

    asyncio.run(check())


async def test_a_reply_that_answers_the_request_as_it_stands_is_passed_on_to_the_byte(store: Store) -> None:
    asking = Asking(store)
    found, response = await asking.ask(["a", "b"])
    assert response.raw_content == provider(asking.upstream.asked[0])[1]
    assert (found.tokens.input, found.saved.input, found.stored, found.billed) == (2, 0, True, None)
    assert response.headers["set-cookie"] == "a=b"
    found, response = await asking.ask(["b", "a"])
    assert (found.outcome, found.tokens.input, found.saved.input) == (Outcome.HIT, None, 2)
    assert "set-cookie" not in response.headers
    assert found.created > 0


async def test_base64_is_the_same_vector(store: Store) -> None:
    asking = Asking(store)
    await asking.ask(["a"])
    _, response = await asking.ask(["a"], {"encoding_format": "base64"}, form="base64")
    packed = base64.b64decode(response.json()["data"][0]["embedding"])
    assert list(struct.unpack("<2f", packed)) == vector("a")
    assert len(asking.upstream.asked) == 1


@pytest.mark.parametrize(
    ("fields", "inputs"),
    [({"level": "exact"}, ["a"]), ({"mode": "record"}, ["a"]), ({"key": ""}, ["a"]), ({}, []), ({}, ["a", ""])],
)
async def test_what_is_not_taken_apart_is_left_to_others(
    store: Store, fields: dict[str, Any], inputs: list[str]
) -> None:
    asking = Asking(store)
    assert (await asking.ask(inputs, **fields))[1] is None
    assert asking.upstream.asked == []


async def test_replay_and_only_if_cached_never_ask(store: Store) -> None:
    asking = Asking(store)
    await asking.ask(["a"])
    for fields in ({"mode": "replay"}, {"directives": directives(only_if_cached=True)}):
        assert (await asking.ask(["a", "b"], **fields))[1] is None
        assert rows((await asking.ask(["a"], **fields))[1]) == [vector("a")]
    assert len(asking.upstream.asked) == 1


async def test_a_failure_is_a_502_and_is_told(store: Store) -> None:
    asking = Asking(store, lambda _: UpstreamError("cannot connect"))
    found, response = await asking.ask(["a"])
    assert (response.status_code, found.outcome, found.reason) == (502, Outcome.CUT, "cannot connect")
    assert "x-should-retry" not in response.headers
    asking = Asking(store, lambda _: (200, b'{"data": []}'))
    found, response = await asking.ask(["a"])
    assert (response.status_code, response.headers["x-should-retry"], found.stored) == (502, "false", False)


async def test_a_reply_that_repeats_the_credential_is_not_kept(store: Store) -> None:
    def telling(ask: Ask) -> tuple[int, bytes]:
        status, body = provider(ask)
        return status, body[:-1] + f', "key": "{SECRET}"}}'.encode()

    asking = Asking(store, telling)
    found, response = await asking.ask(["a"])
    assert (response.status_code, found.stored, found.unstored) == (200, False, "credential in reply")
    assert (await store.stats()).vectors == 0


async def test_tenants_share_nothing(store: Store) -> None:
    asking = Asking(store)
    for tenant in ("one", "other", "one"):
        await asking.ask(["a"], tenant=tenant)
    assert asking.inputs() == [["a"], ["a"]]


async def test_requests_at_once_ask_for_each_input_once(store: Store) -> None:
    asking = Asking(store)
    mixes = [["a", "b"], ["b", "cc"], ["cc", "a"], ["a", "b"]]
    answers = await asyncio.gather(*(asking.ask(inputs) for inputs in mixes))
    assert [rows(response) for _, response in answers] == [[vector(item) for item in inputs] for inputs in mixes]
    assert sorted(item for part in asking.inputs() for item in part) == ["a", "b", "cc"]


async def test_vectors_of_recorded_replies_are_learned(store: Store) -> None:
    asking = Asking(store)
    inputs = ["a", "b", "a"]
    found = made({"model": "m", "input": inputs}, protocol="openai_embeddings", mode="record")
    body = {"data": [{"index": at, "embedding": vector(item)} for at, item in enumerate(inputs)], "model": "m"}
    await asking.addon.learn(found, json.dumps(body).encode())
    _, response = await asking.ask(["b", "a"], mode="replay")
    assert rows(response) == [vector("b"), vector("a")]


async def test_a_recorded_error_teaches_nothing(store: Store) -> None:
    asking = Asking(store)
    await asking.addon.learn(made({"model": "m", "input": ["a"]}, protocol="openai_embeddings"), b'{"error": {}}')
    assert (await store.stats()).vectors == 0
