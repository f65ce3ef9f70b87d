"""Whole replies: from the store, from an equal request under way, or from the provider and then kept."""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import http

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing mitmproxy uses what its own dependencies deprecate
    from addons.replies import Replies

from addons.admission import Admission
from addons.exchange import Exchange, Outcome
from addons.runs import Runs
from addons.tape import UpstreamError
from addons.upstream import Ask
from cache import Store, StoreError
from tests.unit.exchanges import KEY, Scripted, directives, flow, made, reply, rules

KEEP = {"normalized": ("length",), "content": (), "exact": ()}


def completion(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}).encode()


class Asking:
    """The addon with a provider behind it that numbers its answers."""

    def __init__(self, store: Store, answer: Callable[[Ask], Any] | None = None, **settings: Any) -> None:
        self.upstream = Scripted(answer or (lambda _: (200, completion(f"answer {len(self.upstream.asked)}"))))
        upstream: Any = self.upstream
        self.addon = Replies(store, upstream, rules(**settings), Admission(KEEP, False), Runs())

    async def ask(self, **fields: Any) -> tuple[Exchange, http.Response | None]:
        found = made(**fields)
        passing = flow(found)
        await self.addon.request(passing)
        await self.addon.drain()
        return found, passing.response

    async def text(self, **fields: Any) -> str:
        """The text of the answer, or the status of a refusal."""
        _, response = await self.ask(**fields)
        if response is None:
            return "nothing"
        if response.status_code != 200:
            return str(response.status_code)
        return str(response.json()["choices"][0]["message"]["content"])


async def test_asked_once_kept_and_served(store: Store) -> None:
    asking = Asking(store)
    first, response = await asking.ask()
    assert response is not None
    assert (first.outcome, first.source, first.stored) == (Outcome.MISS, "upstream", True)
    assert response.headers["set-cookie"] == "a=b"
    second, again = await asking.ask()
    assert again is not None
    assert (second.outcome, second.source, second.reply is not None) == (Outcome.HIT, "cache", True)
    assert again.raw_content == response.raw_content
    assert "set-cookie" not in again.headers
    assert (first.tokens.input, first.tokens.output) == (3, 2)
    assert len(asking.upstream.asked) == 1


async def test_tenants_keys_and_forms_are_apart(store: Store) -> None:
    asking = Asking(store)
    for fields in ({}, {"tenant": "other"}, {"key": "cd" * 32}, {}):
        await asking.ask(**fields)
    assert len(asking.upstream.asked) == 3


@pytest.mark.parametrize(
    ("said", "settings", "forwarded"),
    [
        ({"no_cache": True}, {}, "request"),
        ({"max_age": 60}, {}, "request"),
        ({}, {"max_age": 60.0}, "stale"),
        ({}, {"refresh_below": 1}, "stale"),
    ],
)
async def test_what_is_too_old_is_asked_again_and_overwritten(
    store: Store, said: dict[str, Any], settings: dict[str, Any], forwarded: str
) -> None:
    await store.put(reply(body=completion("old"), created=time.time() - 100))
    asking = Asking(store, **settings)
    found, _ = await asking.ask(directives=directives(**said))
    assert (found.outcome, found.forwarded) == (Outcome.MISS, forwarded)
    assert await Asking(store).text() == "answer 1"


async def test_only_if_cached_is_a_504_in_the_providers_shape(store: Store) -> None:
    asking = Asking(store)
    found, response = await asking.ask(directives=directives(only_if_cached=True))
    assert response is not None
    assert (response.status_code, found.outcome) == (504, Outcome.REFUSED)
    assert response.json()["error"]["code"] == "only_if_cached"
    assert asking.upstream.asked == []


async def test_equal_requests_at_once_share_one_answer(store: Store) -> None:
    asking = Asking(store)
    answers = await asyncio.gather(*(asking.ask() for _ in range(5)))
    assert len({response.raw_content for _, response in answers if response is not None}) == 1
    assert sorted(found.source for found, _ in answers) == ["shared"] * 4 + ["upstream"]
    fresh = directives(no_cache=True)
    await asyncio.gather(*(asking.ask(directives=fresh) for _ in range(2)))
    assert len(asking.upstream.asked) == 3  # who wants it new does not share


@pytest.mark.parametrize("said", [{"no_cache": True}, {"max_age": 0}])
async def test_who_wants_it_new_does_not_share_what_is_not_stored_yet_either(
    store: Store, said: dict[str, Any]
) -> None:
    asking = Asking(store)
    fresh = directives(**said)
    answers = await asyncio.gather(asking.ask(), asking.ask(directives=fresh), asking.ask(directives=fresh))
    assert [found.source for found, _ in answers] == ["upstream"] * 3
    assert [found.forwarded for found, _ in answers] == ["miss", "request", "request"]


async def test_a_failure_is_a_502_and_the_next_asks_again(store: Store) -> None:
    answers = iter([UpstreamError("cannot connect"), (200, completion("there"))])
    asking = Asking(store, lambda _: next(answers))
    found, response = await asking.ask()
    assert response is not None
    assert (response.status_code, found.outcome, found.unstored) == (502, Outcome.CUT, "cut")
    assert "cannot connect" in response.json()["error"]["message"]
    assert await asking.text() == "there"


async def test_errors_pass_and_are_not_kept(store: Store) -> None:
    asking = Asking(store, lambda _: (429, b'{"error": {}}'))
    for _ in range(2):
        found, response = await asking.ask()
        assert response is not None
        assert (response.status_code, found.unstored, found.stored) == (429, "status 429", False)
    assert len(asking.upstream.asked) == 2


async def test_record_asks_always_and_replay_gives_each_in_its_turn(store: Store) -> None:
    recording = Asking(store)
    told: list[str] = []

    async def learn(_: Exchange, body: bytes) -> None:
        told.append(json.loads(body)["choices"][0]["message"]["content"])

    recording.addon.recorded.append(learn)
    await store.put(reply(body=completion("of an older run"), ordinal=5))
    for _ in range(2):
        await recording.ask(mode="record", directives=directives(no_store=True, only_if_cached=True))
    assert told == ["answer 1", "answer 2"]
    for exhausted, third in (("last", "answer 2"), ("cycle", "answer 1"), ("refuse", "nothing")):
        replaying = Asking(store, on_exhausted=exhausted)
        texts = [await replaying.text(mode="replay") for _ in range(3)]
        assert texts == ["answer 1", "answer 2", third]
        assert replaying.upstream.asked == []


async def test_what_an_older_run_left_goes_with_the_first_that_is_stored_although_another_could_not_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ordinal in range(3):
        await store.put(reply(body=completion("of an older run"), ordinal=ordinal), replace=False)

    async def busy(*_: object, **__: object) -> None:
        raise StoreError("busy")

    recording = Asking(store)
    with monkeypatch.context() as patched:
        patched.setattr(store, "put", busy)
        await recording.ask(mode="record")
    await recording.ask(mode="record")
    assert [await Asking(store).text(mode="replay"), await store.count("local", KEY, "plain")] == ["answer 2", 1]


async def test_exhausted_says_so(store: Store) -> None:
    await store.put(reply(body=completion("once")))
    replaying = Asking(store, on_exhausted="refuse")
    await replaying.ask(mode="replay")
    found, response = await replaying.ask(mode="replay")
    assert (response, found.reason) == (None, "exhausted: recorded 1 times, asked for 2 times")


async def test_read_keeps_nothing(store: Store) -> None:
    asking = Asking(store)
    assert [await asking.text(mode="read") for _ in range(2)] == ["answer 1", "answer 2"]
    assert (await store.stats()).replies == 0


@pytest.mark.parametrize("mode", ["cache", "read", "replay"])
async def test_without_a_store_it_asks_or_stays_silent(
    mode: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise StoreError("the disk is gone")

    for name in ("get", "put"):
        monkeypatch.setattr(store, name, broken)
    asking = Asking(store)
    found, response = await asking.ask(mode=mode)
    if mode == "replay":
        assert (response, asking.upstream.asked) == (None, [])
        assert "the disk is gone" in found.reason
    else:
        assert response is not None
        assert (response.status_code, found.forwarded, found.stored) == (200, "bypass", False)


async def test_what_has_no_key_or_an_answer_is_let_be(store: Store) -> None:
    asking = Asking(store)
    assert await asking.text(key="") == "nothing"
    answered = flow(made())
    answered.response = response = http.Response.make(200)
    await asking.addon.request(answered)
    assert answered.response is response
    assert asking.upstream.asked == []
