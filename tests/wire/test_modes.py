"""What each mode asks, keeps and answers, over the real wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire import behaviours
from tests.wire.asking import Ask, Got, ask, chat, embed, got
from tests.wire.proxy import Proxy
from tests.wire.reach import Reachable
from tests.wire.upstream import Upstream

if TYPE_CHECKING:
    from tests.wire.inside import Inside

Within = Callable[..., "Inside"]

OPENAI = "api.openai.com"


def send(proxy: Reachable, method: str, target: str, body: Any = None, **headers: str) -> Got:
    """One request to OpenAI; `_` in header names stands for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    content = None if body is None else json.dumps(body)
    with proxy.connection(OPENAI) as connection:
        connection.request(method, target, content, {"content-type": "application/json", **given})
        return got(connection.getresponse())


def turned(start: Within, running: Inside, **changed: Any) -> Inside:
    """Stop a proxy and start another on its home, with some settings changed."""
    running.stop()
    settings = running.settings | changed
    return start(settings.pop("mode"), home=running.home, **settings)


def outcomes(proxy: Reachable, *asked: Ask, **headers: str) -> list[str]:
    return [ask(proxy, one, **headers).outcome for one in asked]


def responses(text: str, **more: Any) -> Ask:
    return Ask("responses", OPENAI, "/v1/responses", {"model": "gpt-test", "input": text, **more})


@pytest.mark.parametrize("stream", [False, True])
def test_cache_keeps_and_answers(stream: bool, caching: Proxy, upstream: Upstream, salt: str) -> None:
    asked = chat(salt, stream=stream)
    first, second = ask(caching, asked), ask(caching, asked)
    assert (first.outcome, second.outcome) == ("miss", "hit")
    assert second.body == first.body == upstream.sent(salt)[0].answer.body
    assert second.headers["cache-status"] == "wiretape; hit"
    assert int(second.headers["age"]) >= 0


def test_plain_and_streamed_are_two_entries_under_one_key(caching: Proxy, upstream: Upstream, salt: str) -> None:
    plain, streamed = ask(caching, chat(salt)), ask(caching, chat(salt, stream=True))
    assert (plain.outcome, streamed.outcome) == ("miss", "miss")
    assert plain.headers["x-wiretape-key"] == streamed.headers["x-wiretape-key"]
    assert ask(caching, chat(salt)).body == plain.body
    assert ask(caching, chat(salt, stream=True)).body == streamed.body
    assert len(upstream.seen(salt)) == 2


def test_usage_in_a_stream_is_a_form_of_its_own(caching: Proxy, salt: str) -> None:
    without = chat(salt, stream=True)
    with_usage = chat(salt, stream=True, stream_options={"include_usage": True})
    assert outcomes(caching, without, with_usage) == ["miss", "miss"]
    again = ask(caching, with_usage)
    assert again.outcome == "hit"
    assert b'"usage"' in again.body
    assert b'"usage"' not in ask(caching, without).body


def test_what_only_the_server_holds_passes_with_the_reason(caching: Proxy, upstream: Upstream, salt: str) -> None:
    image = [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"input": image, "metadata": {"salt": salt}}, "file_id"),
    ]
    for more, reason in cases:
        for _ in range(2):
            answer = ask(caching, responses(salt, **more))
            assert (answer.status, answer.outcome) == (200, "pass")
            assert answer.headers["x-wiretape-reason"] == reason
            assert f'fwd=bypass; detail="{reason}"' in answer.headers["cache-status"]
    assert len(upstream.seen(salt)) == 8


@pytest.mark.parametrize(
    ("method", "target", "reason"),
    [
        ("POST", "/v1/batches", "endpoint not cached"),
        ("GET", "/v1/files", "endpoint not cached"),
        ("GET", "/v1/models", "get request"),
    ],
)
def test_reads_and_jobs_pass_in_cache_mode(method: str, target: str, reason: str, caching: Proxy) -> None:
    answer = send(caching, method, target, {} if method == "POST" else None)
    assert (answer.outcome, answer.headers["x-wiretape-reason"]) == ("pass", reason)


def test_server_state_files_and_models_are_recorded_in_order(inside: Within, upstream: Upstream, salt: str) -> None:
    running = inside("record")
    upstream.script("/v1/batches", behaviours.giving(200, b'{"id":"batch_1"}'))
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/v1/responses", responses(salt, previous_response_id="resp_1").body),
        ("POST", "/v1/responses", responses(salt, previous_response_id="resp_1").body),
        ("POST", "/v1/responses", responses(salt, background=True).body),
        ("POST", "/v1/batches", {"input_file_id": salt}),
        ("GET", "/v1/models", None),
        ("GET", "/v1/models", None),
    ]
    recorded = [send(running, *one) for one in asked]
    assert [answer.outcome for answer in recorded] == ["miss"] * len(asked)
    with upstream.down():
        running = turned(inside, running, mode="replay")
        replayed = [send(running, *one) for one in asked]
    assert [answer.outcome for answer in replayed] == ["hit"] * len(asked)
    assert [answer.body for answer in replayed] == [answer.body for answer in recorded]
    assert recorded[0].body != recorded[1].body
    assert recorded[4].body != recorded[5].body


def test_record_always_asks_and_a_later_run_overwrites(inside: Within, upstream: Upstream, salt: str) -> None:
    running = inside("record")
    first = [ask(running, chat(salt)) for _ in range(3)]
    assert [answer.outcome for answer in first] == ["miss"] * 3
    running = turned(inside, running)
    second = [ask(running, chat(salt)) for _ in range(2)]
    assert len(upstream.seen(salt)) == 5
    running = turned(inside, running, mode="replay", on_exhausted="refuse")
    replayed = [ask(running, chat(salt)) for _ in range(3)]
    assert [answer.body for answer in replayed[:2]] == [answer.body for answer in second]
    assert replayed[2].status == 424, "a repeat of the older run was left"
    assert "exhausted: recorded 2 times, asked for 3 times" in replayed[2].headers["x-wiretape-reason"]


def test_repeats_come_in_order_then_last_or_from_the_start(inside: Within, salt: str) -> None:
    running = inside("record")
    recorded = [ask(running, chat(salt)).body for _ in range(2)]
    assert len(set(recorded)) == 2
    running = turned(inside, running, mode="replay", on_exhausted="last")
    assert [ask(running, chat(salt)).body for _ in range(4)] == [*recorded, recorded[1], recorded[1]]
    running = turned(inside, running, on_exhausted="cycle")
    assert [ask(running, chat(salt)).body for _ in range(5)] == [*recorded, *recorded, recorded[0]]


def test_read_answers_and_asks_but_keeps_nothing(inside: Within, upstream: Upstream, salt: str) -> None:
    running = inside("cache")
    known = ask(running, chat(salt))
    ask(running, embed(f"{salt} known"))
    running = turned(inside, running, mode="read")
    assert ask(running, chat(salt)).body == known.body
    assert outcomes(running, chat(f"new {salt}"), chat(f"new {salt}")) == ["miss", "miss"]
    assert outcomes(running, embed(f"{salt} known"), embed(f"{salt} new"), embed(f"{salt} new")) == [
        "hit",
        "miss",
        "miss",
    ]


def test_off_passes_untouched_and_stores_nothing(inside: Within, upstream: Upstream, salt: str) -> None:
    running = inside("off")
    for stream in (False, True):
        answers = [ask(running, chat(salt, stream=stream)) for _ in range(2)]
        for answer in answers:
            assert (answer.outcome, answer.headers["x-wiretape-reason"]) == ("pass", "mode is off")
        sent = [one for one in upstream.sent(salt) if one.request.json["stream"] is stream]
        assert [answer.body for answer in answers] == [one.answer.body for one in sent]
    ask(running, embed(salt))
    running = turned(inside, running, mode="cache")
    assert outcomes(running, chat(salt), chat(salt, stream=True), embed(salt)) == ["miss"] * 3


@pytest.mark.parametrize("mode", ["cache", "record"])
def test_errors_are_not_kept_unless_recorded_on_purpose(
    mode: str, inside: Within, upstream: Upstream, salt: str
) -> None:
    running = inside(mode, record_errors=True)
    upstream.script(salt, behaviours.giving(429, b'{"error":{"message":"slow down"}}', [("retry-after", "1")]), times=1)
    first = ask(running, chat(salt))
    assert first.status == 429
    if mode == "cache":
        assert first.headers["x-wiretape-reason"] == "status 429"
        assert ask(running, chat(salt)).status == 200
        return
    running = turned(inside, running, mode="replay")
    again = ask(running, chat(salt))
    assert (again.status, again.outcome, again.body) == (429, "hit", first.body)
    assert again.headers["retry-after"] == "1"


def test_errors_are_not_recorded_by_default(inside: Within, upstream: Upstream, salt: str) -> None:
    upstream.script(salt, behaviours.giving(500, b"{}"))
    answer = ask(inside("record"), chat(salt))
    assert (answer.status, answer.headers["x-wiretape-reason"]) == (500, "status 500")
    assert "stored" not in answer.headers["cache-status"]


def ended(reason: str, text: str | None = "cut off", **more: Any) -> bytes:
    message = {"role": "assistant", "content": text, **more}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()


@pytest.mark.parametrize(
    ("level", "body", "reason"),
    [
        ("normalized", ended("length"), ""),
        ("normalized", ended("content_filter"), ""),
        ("normalized", ended("stop", ""), "empty"),
        ("content", ended("length"), "length"),
        ("content", ended("stop", None, refusal="I will not"), "refusal"),
        ("exact", ended("stop", ""), ""),
    ],
)
def test_which_endings_are_kept_depends_on_the_level(
    level: str, body: bytes, reason: str, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    upstream.script(salt, behaviours.giving(200, body))
    first = ask(caching, chat(salt), x_wiretape_match=level)
    assert first.headers.get("x-wiretape-reason", "") == reason
    assert outcomes(caching, chat(salt), x_wiretape_match=level) == ["miss" if reason else "hit"]


def test_which_endings_are_kept_is_a_setting(inside: Within, upstream: Upstream, salt: str) -> None:
    running = inside(keep={"normalized": "empty"})
    upstream.script(f"long {salt}", behaviours.giving(200, ended("length")))
    upstream.script(f"none {salt}", behaviours.giving(200, ended("stop", "")))
    long, none = chat(f"long {salt}"), chat(f"none {salt}")
    assert outcomes(running, long, none, long, none) == ["miss", "miss", "miss", "hit"]


def test_a_namespace_is_a_store_of_its_own(inside: Within, salt: str) -> None:
    running = inside(namespace="one")
    assert outcomes(running, chat(salt), chat(salt), embed(salt)) == ["miss", "hit", "miss"]
    running = turned(inside, running, namespace="two")
    assert outcomes(running, chat(salt), embed(salt)) == ["miss", "miss"]
    running = turned(inside, running, namespace="one")
    assert outcomes(running, chat(salt), embed(salt)) == ["hit", "hit"]


def test_older_versions_are_asked_again_and_never_overwrite_newer(
    inside: Within, upstream: Upstream, salt: str
) -> None:
    running = inside(version=1)
    old, vectors = chat(salt), embed(salt)
    assert outcomes(running, old, vectors) == ["miss", "miss"]
    running = turned(inside, running, version=2, refresh_below=2)
    fresh = ask(running, old)
    assert fresh.headers["cache-status"] == "wiretape; fwd=stale; stored"
    assert outcomes(running, old, vectors, vectors) == ["hit", "miss", "hit"]
    running = turned(inside, running, version=1, refresh_below=1)
    again = ask(running, old)
    assert (again.outcome, again.body) == ("hit", fresh.body)
    assert len(upstream.seen(salt)) == 4


def test_what_is_too_old_is_asked_again(inside: Within, salt: str) -> None:
    running = inside()
    assert outcomes(running, chat(salt), embed(salt)) == ["miss", "miss"]
    running = turned(inside, running, max_age=0.001)
    assert outcomes(running, chat(salt), embed(salt)) == ["miss", "miss"]


def test_levels_by_header(caching: Proxy, salt: str) -> None:
    warm, cold = chat(salt, temperature=1), chat(salt, temperature=0)
    assert outcomes(caching, warm, cold) == ["miss", "miss"]
    assert outcomes(caching, warm, cold, x_wiretape_match="content") == ["miss", "hit"]
    assert outcomes(caching, warm, warm, x_wiretape_match="exact") == ["miss", "hit"]
    other = ask(caching, warm, x_wiretape_match="exact", authorization="Bearer another-credential")
    assert other.outcome == "miss", "exact shared an answer between credentials"
    refused = ask(caching, warm, x_wiretape_match="exakt")
    assert (refused.status, refused.outcome) == (400, "refused")


def test_levels_by_setting_and_provider(inside: Within, salt: str) -> None:
    block = {"hosts": "api.mistral.ai", "routes": {"POST /v1/chat/completions": "openai_chat"}, "match": "normalized"}
    running = inside(match="content", providers={"own": block})
    warm, cold = chat(salt, temperature=1), chat(salt, temperature=0)
    assert outcomes(running, warm, cold) == ["miss", "hit"]
    elsewhere = [Ask(one.name, "api.mistral.ai", one.target, one.body) for one in (warm, cold)]
    assert outcomes(running, *elsewhere) == ["miss", "miss"]
    assert outcomes(running, *elsewhere, x_wiretape_match="content") == ["miss", "hit"]


def test_ids_of_tool_calls_that_are_echoed_make_no_miss(caching: Proxy, salt: str) -> None:
    def turn(one: str, two: str, back: tuple[str, str]) -> Ask:
        calls = [{"id": i, "type": "function", "function": {"name": "f", "arguments": i[-1]}} for i in (one, two)]
        results = [{"role": "tool", "tool_call_id": i, "content": f"result {n}"} for n, i in enumerate(back)]
        assistant = {"role": "assistant", "content": None, "tool_calls": calls}
        messages = [{"role": "user", "content": salt}, assistant, *results]
        return Ask("tools", OPENAI, "/v1/chat/completions", {"model": "m", "messages": messages})

    same = turn("call_a1", "call_b2", ("call_a1", "call_b2"))
    renamed = turn("call_x1", "call_y2", ("call_x1", "call_y2"))
    crossed = turn("call_x1", "call_y2", ("call_y2", "call_x1"))
    assert outcomes(caching, same, renamed, crossed) == ["miss", "hit", "miss"]
