"""Embeddings over the real wire: what is known is not asked again, and the reply is what the provider would say."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.wire import behaviours
from tests.wire.asking import ask, embed, got
from tests.wire.behaviours import Sending
from tests.wire.conftest import Starting
from tests.wire.embedding import PROVIDERS, Provider, expected, inputs, singles, usage, used, vectors
from tests.wire.proxy import Proxy
from tests.wire.reach import PATIENCE
from tests.wire.requests import Request
from tests.wire.upstream import Upstream

Break = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def small(module_proxy: Starting) -> Proxy:
    """A proxy that knows the provider to take three inputs at a time."""
    return module_proxy(providers={"small": {"hosts": "api.openai.com", "speaks": {"openai": "/v1"}, "max_batch": 3}})


def rewriting(change: Break) -> behaviours.Behaviour:
    """The usual answer with other rows."""

    def behave(sending: Sending) -> None:
        whole = json.loads(sending.answer.body)
        whole["data"] = change(whole["data"])
        behaviours.giving(200, json.dumps(whole).encode())(sending)

    return behave


def test_only_unknown_inputs_go_upstream(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b, c, d = (f"{salt} {'long ' * n}{n}" for n in range(4))
    none = ask(caching, embed(a, b))
    some = ask(caching, embed(c, b, d, a))
    every = ask(caching, embed(d, a, c))
    assert [answer.outcome for answer in (none, some, every)] == ["miss", "partial", "hit"]
    assert inputs(upstream.seen(salt)) == [[a, b], [c, d]]
    assert none.body == upstream.sent(salt)[0].body
    assert vectors(some) == expected(c, b, d, a)
    assert vectors(every) == expected(d, a, c)
    assert some.headers["cache-status"] == "wiretape; fwd=partial; stored"
    assert some.headers["x-wiretape-billed-tokens"] == str(used(c, d))
    assert (every.headers["cache-status"], every.headers["x-wiretape-source"]) == ("wiretape; hit", "cache")
    assert 0 <= int(every.headers["age"]) <= PATIENCE
    assert "x-wiretape-billed-tokens" not in every.headers
    assert list(json.loads(every.body)) == list(json.loads(none.body))
    assert json.loads(every.body)["model"] == "embed-test"


def test_a_full_repeat_reports_what_the_provider_did(caching: Proxy, upstream: Upstream, salt: str) -> None:
    texts = [f"{salt} {'word ' * random.randrange(40)}{n}" for n in range(23)]
    first = ask(caching, embed(*texts))
    random.shuffle(texts)
    again = ask(caching, embed(*texts))
    halves = [ask(caching, embed(*part)) for part in (texts[:9], texts[9:])]
    assert usage(first) == used(*texts) == usage(again) == sum(map(usage, halves))
    assert len(upstream.seen(salt)) == 1


def test_repeats_in_one_request_are_asked_once(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b, which is longer"
    answer = ask(caching, embed(a, b, a, a))
    assert inputs(upstream.seen(salt)) == [[a, b]]
    assert vectors(answer) == expected(a, b, a, a)
    assert answer.headers["x-wiretape-billed-tokens"] == str(used(a, b))
    assert usage(answer) > used(a, b)


def test_a_text_and_the_tokens_it_looks_like_never_meet(caching: Proxy, upstream: Upstream) -> None:
    number = uuid.uuid4().int % 10**12
    ids = [number, 2]
    texts = [f"[{number}, 2]", f"[{number},2]", f"{number}", f" {number}"]
    for single in (ids, *texts):
        answer = ask(caching, embed(input=single))
        assert (answer.outcome, vectors(answer)) == ("miss", expected(single))
    for several in ([ids, [number, 3]], [[2, number], ids, [number]], [*texts, f"{number} "]):
        answer = ask(caching, embed(input=several))
        assert (answer.outcome, vectors(answer)) == ("partial", expected(*several))
    asked = inputs(upstream.seen(str(number)))
    assert asked == [ids, *texts, [[number, 3]], [[2, number], [number]], [f"{number} "]]
    assert ask(caching, embed(input=[[number, 3], [number]])).outcome == "hit"


def test_one_vector_is_written_as_floats_or_base64(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b"
    floats = ask(caching, embed(a, encoding_format="float"))
    encoded = ask(caching, embed(a, encoding_format="base64"))
    assert isinstance(json.loads(encoded.body)["data"][0]["embedding"], str)
    ask(caching, embed(b, encoding_format="base64"))
    plain = ask(caching, embed(b, a))
    assert singles(floats) == singles(encoded) == singles(plain)[1:]
    assert vectors(plain) == expected(b, a)
    assert len(upstream.seen(salt)) == 2


@pytest.mark.parametrize("text", ["nul \0 inside", "half a pair \ud800", "\U0001f600 and \u2028", "<b>&amp;</b>"])
def test_any_text_is_an_input(text: str, caching: Proxy, upstream: Upstream, salt: str) -> None:
    assert ask(caching, embed(f"{salt} {text}", salt)).outcome == "miss"
    assert ask(caching, embed(f"{salt} {text}")).outcome == "hit"
    assert vectors(ask(caching, embed(salt, f"{salt} {text}"))) == expected(salt, f"{salt} {text}")
    assert len(upstream.seen(salt)) == 1


def test_what_changes_a_vector_is_another_vector(caching: Proxy, upstream: Upstream, salt: str) -> None:
    ask(caching, embed(salt))
    others = [{"model": "other-model"}, {"dimensions": 8}, {"dimensions": 4}, {"task": "query"}]
    for more in others:
        answers = [ask(caching, embed(salt, **more)) for _ in range(2)]
        assert [answer.outcome for answer in answers] == ["miss", "hit"], more
        assert len(vectors(answers[1])[0]) == more.get("dimensions", 16)
    assert ask(caching, embed(salt, user="somebody")).outcome == "hit"
    assert len(upstream.seen(salt)) == 1 + len(others)


def test_five_thousand_inputs_are_split_as_the_provider_wants(caching: Proxy, upstream: Upstream, salt: str) -> None:
    texts = [f"{n} {salt}" for n in range(5000)]
    answer = ask(caching, embed(*texts))
    assert sorted(map(len, inputs(upstream.seen(salt)))) == [904, 2048, 2048]
    assert vectors(answer) == expected(*texts)
    assert usage(answer) == used(*texts)
    random.shuffle(texts)
    more = [*texts[:2500], f"new {salt}", *texts[2500:]]
    again = ask(caching, embed(*more))
    assert inputs(upstream.seen(salt))[3:] == [[f"new {salt}"]]
    assert vectors(again) == expected(*more)


def test_ten_thousand_known_inputs_need_no_provider(caching: Proxy, upstream: Upstream, salt: str) -> None:
    texts = [f"{n} {salt}" for n in range(10_000)]
    total = usage(ask(caching, embed(*texts)))
    texts.reverse()
    with upstream.down():
        answer = ask(caching, embed(*texts))
    assert (answer.outcome, usage(answer)) == ("hit", total)
    assert vectors(answer) == expected(*texts)


def test_a_provider_block_says_how_many_inputs_it_takes(small: Proxy, upstream: Upstream, salt: str) -> None:
    texts = [f"{salt} {n}" for n in range(8)]
    ask(small, embed(texts[4]))
    answer = ask(small, embed(*texts))
    asked = sorted(inputs(upstream.seen(salt))[1:])
    assert [len(part) for part in asked] == [3, 3, 1]
    assert [text for part in asked for text in part] == [text for text in texts if text != texts[4]]
    assert vectors(answer) == expected(*texts)
    assert answer.headers["x-wiretape-billed-tokens"] == str(used(*texts) - used(texts[4]))


@pytest.mark.parametrize("order", [lambda rows: rows[::-1], lambda rows: rows[2:] + rows[:2]], ids=["back", "turned"])
def test_vectors_are_merged_by_the_index(order: Break, caching: Proxy, upstream: Upstream, salt: str) -> None:
    texts = [f"{salt} {n}" for n in range(5)]
    ask(caching, embed(texts[3]))
    upstream.script(salt, rewriting(order))
    assert vectors(ask(caching, embed(*texts))) == expected(*texts)
    assert vectors(ask(caching, embed(*texts[::-1]))) == expected(*texts[::-1])
    assert len(upstream.seen(salt)) == 2


WRONG = {
    "too few": lambda rows: rows[:-1],
    "too many": lambda rows: [*rows, {**rows[0], "index": len(rows)}],
    "unequal dimensions": lambda rows: [{**rows[0], "embedding": rows[0]["embedding"][:-1]}, *rows[1:]],
    "another dimension": lambda rows: [{**row, "embedding": row["embedding"][:-1]} for row in rows],
    "not a number": lambda rows: [{**rows[0], "embedding": [float("nan"), *rows[0]["embedding"][1:]]}, *rows[1:]],
    "out of range": lambda rows: [{**rows[0], "embedding": [1e300, *rows[0]["embedding"][1:]]}, *rows[1:]],
    "repeated index": lambda rows: [{**row, "index": 0} for row in rows],
    "missing index": lambda rows: [{**row, "index": row["index"] + 1} for row in rows],
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_wrong_vectors_break_a_partial_answer_and_none_is_kept(
    change: Break, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    texts = [f"{salt} {n}" for n in range(3)]
    ask(caching, embed(texts[0]))
    upstream.script(salt, rewriting(change), times=1)
    answer = ask(caching, embed(*texts))
    assert (answer.status, answer.outcome) == (502, "cut")
    assert answer.headers["x-should-retry"] == "false"
    assert "stored" not in answer.headers["cache-status"]
    assert set(json.loads(answer.body)["error"]) == {"message", "type", "param", "code"}
    again = ask(caching, embed(*texts))
    assert (again.outcome, vectors(again)) == ("partial", expected(*texts))
    assert inputs(upstream.seen(salt)) == [[texts[0]], texts[1:], texts[1:]]


@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_error_for_one_of_several_batches_is_the_clients_to_see(
    status: int, small: Proxy, upstream: Upstream, salt: str
) -> None:
    texts = [f"{salt} {n}" for n in range(7)]
    body = b'{"error": {"message": "no", "type": "t", "param": null, "code": "c"}}'

    def second(request: Request) -> bool:
        return texts[4] in request.json.get("input", ())

    upstream.script(second, behaviours.giving(status, body, [("retry-after", "7")]), times=1)
    answer = ask(small, embed(*texts))
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (status, body, "7")
    assert answer.headers["x-wiretape-reason"] == f"status {status}"
    assert answer.headers["x-wiretape-billed-tokens"] == str(used(*texts[:3], texts[6]))
    assert "stored" not in answer.headers["cache-status"]
    again = ask(small, embed(*texts))
    assert (again.outcome, vectors(again)) == ("partial", expected(*texts))
    assert inputs(upstream.seen(salt))[-1] == texts[3:6]
    assert len(upstream.seen(salt)) == 4


def test_whoever_waits_for_anothers_inputs_is_billed_nothing(caching: Proxy, upstream: Upstream, salt: str) -> None:
    a, b = f"{salt} a", f"{salt} b"
    word = threading.Event()
    upstream.script(salt, behaviours.stalled(word), times=1)
    with ThreadPoolExecutor() as pool, caching.connection("api.openai.com") as second:
        first = pool.submit(ask, caching, embed(a, b))
        upstream.wait_for(1, salt)
        embed(b).send(second)
        fresh = ask(caching, embed(b), cache_control="no-cache")  # who wants it new does not wait for an older one
        assert fresh.outcome == "miss"
        word.set()
        follower = got(second.getresponse())
    assert first.result(PATIENCE).outcome == "miss"
    assert vectors(follower) == expected(b)
    assert follower.outcome == "hit"
    assert "x-wiretape-billed-tokens" not in follower.headers
    assert inputs(upstream.seen(salt)) == [[a, b], [b]]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_provider_is_asked_for_what_is_unknown(
    provider: Provider, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    a, b, c = f"{salt} a", f"{salt} a longer one", f"{salt} c"
    answers = [provider.ask(caching, *texts) for texts in ((a, b), (c, b), (b, c, a))]
    assert [answer.outcome for answer in answers] == ["miss", "partial", "hit"]
    assert [provider.asked(request.json) for request in upstream.seen(salt)] == [[a, b], [c]]
    replies = [json.loads(answer.body) for answer in answers]
    wanted = [expected_of(provider, *texts) for texts in ((a, b), (c, b), (b, c, a))]
    assert [provider.read(reply) for reply in replies] == wanted
    assert len({tuple(sorted(reply)) for reply in replies}) == 1, "a merged reply lacks what the provider's has"
    if provider.tokens is not None:
        assert provider.tokens(replies[2]) == provider.tokens(replies[0]) + used(c)
        assert answers[1].headers["x-wiretape-billed-tokens"] == str(used(c))


def expected_of(provider: Provider, *texts: str) -> list[list[float]]:
    """The scripted Gemini makes its vectors from the whole content."""
    return expected(*([{"parts": [{"text": text}]} for text in texts] if provider.name == "gemini" else texts))


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_wrong_count_is_a_502_in_the_providers_own_shape(
    provider: Provider, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    def fewer(sending: Sending) -> None:
        whole = json.loads(sending.answer.body)
        rows = whole["embeddings"]["float"] if provider.name == "cohere" else whole.get("data", whole.get("embeddings"))
        rows.pop()
        behaviours.giving(200, json.dumps(whole).encode())(sending)

    upstream.script(salt, fewer, times=1)
    answer = provider.ask(caching, f"{salt} a", f"{salt} b")
    assert answer.status == 502
    error = json.loads(answer.body)
    assert set(error) == {"message"} if provider.name == "cohere" else "error" in error
    assert "1 embeddings where 2" in answer.body.decode()
    assert provider.ask(caching, f"{salt} a", f"{salt} b").outcome == "miss"


def test_mistral_and_voyage_get_the_shape_their_sdks_read(proxy: Starting, upstream: Upstream, salt: str) -> None:
    running = proxy()
    mistral, voyage = (next(one for one in PROVIDERS if one.name == name) for name in ("mistral", "voyage"))

    def total_only(sending: Sending) -> None:
        whole = json.loads(sending.answer.body)
        del whole["usage"]["prompt_tokens"]
        behaviours.giving(200, json.dumps(whole).encode())(sending)

    upstream.script(f"voyage {salt}", total_only)
    for provider in (mistral, voyage):
        texts = [f"{provider.name} {salt} {n}" for n in range(3)]
        provider.ask(running, texts[0], texts[1])
        partial, every = (json.loads(provider.ask(running, *texts).body) for _ in range(2))
        assert partial["usage"] == every["usage"]
        assert partial["usage"]["total_tokens"] == used(*texts)
        assert set(every["usage"]) == ({"total_tokens"} if provider is voyage else {"prompt_tokens", "total_tokens"})
        if provider is mistral:
            assert isinstance(every["id"], str)
            assert every["id"]
