"""Why a request is not recorded: told by a replaying proxy in the provider's own shape, and by `run.py explain`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from addons.cli import main
from tests.wire.asking import KEY, Ask, Got, ask, chat, embed

if TYPE_CHECKING:
    from tests.wire.inside import Inside

Within = Callable[..., "Inside"]

LONG = "word " * 100


@pytest.fixture
def replaying(inside: Within) -> Callable[..., Inside]:
    """Records requests in order, and gives a proxy that replays them and nothing else."""

    def record(*asked: Ask, mode: str = "record", **settings: Any) -> Inside:
        recorder = inside(mode)
        for one in asked:
            assert ask(recorder, one).status == 200
        recorder.stop()
        return inside("replay", home=recorder.home, **settings)

    return record


def message(got: Got) -> str:
    """What an OpenAI-shaped refusal says."""
    assert (got.status, got.outcome, got.headers["x-should-retry"]) == (424, "not-recorded", "false")
    return str(json.loads(got.body)["error"]["message"]).removeprefix("wiretape: ")


def test_nothing_for_this_host_or_this_endpoint(replaying: Callable[..., Inside]) -> None:
    proxy = replaying(chat("known"))
    elsewhere = Ask("chat", "api.mistral.ai", "/v1/chat/completions", chat("known").body)
    how = "record it with: run.py --mode record exec -- COMMAND"
    assert message(ask(proxy, elsewhere)) == f"not recorded (nothing recorded for this host)\n{how}"
    other = Ask("responses", "api.openai.com", "/v1/responses", {"model": "m", "input": "x"})
    assert message(ask(proxy, other)) == f"not recorded (nothing recorded for this endpoint)\n{how}"


def test_what_differs_from_the_nearest(replaying: Callable[..., Inside]) -> None:
    proxy = replaying(chat(f"{LONG} France?"), chat("something else entirely", temperature=2))
    said = message(ask(proxy, chat(f"{LONG} Spain?", temperature=0.5)))
    first, nearest, *differences, how = said.splitlines()
    assert first == "not recorded (differs)"
    assert nearest.startswith("nearest recording: ")
    assert nearest.endswith(" (gpt-test)")
    assert sorted(line.split(":")[0].strip() for line in differences) == ["messages[0].content", "temperature"]
    (content,) = [line for line in differences if "content" in line]
    assert 'France?", asked "…' in content
    assert content.endswith('Spain?"')
    assert len(content) < 250
    assert "  temperature: recorded nothing, asked 0.5" in differences
    assert how.startswith("record it with: run.py --mode record")


def test_no_credential_is_told(replaying: Callable[..., Inside]) -> None:
    proxy = replaying(chat("known"))
    secret = "sk-proj-" + "a1B2c3D4e5" * 4
    got = ask(proxy, chat(f"known {KEY} and {secret}"), authorization=f"Bearer {KEY}")
    assert KEY not in message(got)
    assert secret not in message(got)


def test_exhausted_form_and_exclusion(replaying: Callable[..., Inside]) -> None:
    proxy = replaying(chat("twice"), chat("twice"), on_exhausted="refuse")
    assert [ask(proxy, chat("twice")).outcome for _ in range(2)] == ["hit", "hit"]
    assert message(ask(proxy, chat("twice"))).startswith(
        "not recorded (exhausted: recorded 2 times, asked for 3 times)"
    )
    streamed = message(ask(proxy, chat("twice", stream=True)))
    assert streamed.startswith("not recorded (form differs: recorded as plain, asked for as sse)")
    with proxy.connection("api.openai.com") as connection:
        connection.request("POST", "/v1/chat/completions", b"{broken", {"content-type": "application/json"})
        broken = connection.getresponse()
        assert broken.status == 424
        assert "not recorded (excluded: unreadable body" in broken.read().decode()


def test_embeddings_tell_the_inputs_that_are_not_known(replaying: Callable[..., Inside]) -> None:
    proxy = replaying(embed("a", "b"), mode="cache")
    assert ask(proxy, embed("b", "a", "a")).outcome == "hit"
    said = message(ask(proxy, embed("a", "z")))
    assert said.startswith('not recorded (differs)\n  input[1]: recorded nothing, asked "z"\n')


def test_equal_but_for_the_namespace(replaying: Callable[..., Inside]) -> None:
    proxy = replaying(chat("known"), namespace="other")
    assert message(ask(proxy, chat("known"))).startswith("not recorded (differs in namespace")


def test_the_command_names_the_cassette(inside: Within, tmp_path: Path) -> None:
    recorder = inside("record", cassette=str(tmp_path / "tape"))
    ask(recorder, chat("known"))
    recorder.stop()
    said = message(ask(inside("replay", cassette=str(tmp_path / "tape")), chat("unknown")))
    assert said.endswith(f"record it with: run.py --mode record --cassette {tmp_path / 'tape'} exec -- COMMAND")


MESSAGES = [{"role": "user", "content": "hi"}]
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        (chat("hi"), ("error", "message")),
        (
            Ask(
                "anthropic", "api.anthropic.com", "/v1/messages", {"model": "m", "max_tokens": 9, "messages": MESSAGES}
            ),
            ("error", "message"),
        ),
        (
            Ask("gemini", "generativelanguage.googleapis.com", "/v1beta/models/m:generateContent", CONTENTS),
            ("error", "message"),
        ),
        (Ask("cohere", "api.cohere.com", "/v2/chat", {"model": "m", "messages": MESSAGES}), ("message",)),
        (Ask("bedrock", BEDROCK, "/model/m-v1%3A0/converse", CONVERSE), ("message",)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_provider_s_own_shape(asked: Ask, where: tuple[str, ...], replaying: Callable[..., Inside]) -> None:
    got = ask(replaying(), asked)
    assert (got.status, got.headers["x-should-retry"]) == (424, "false")
    value = json.loads(got.body)
    if asked.name == "anthropic":
        assert value["type"] == "error"
    if asked.name == "gemini":
        assert value["error"]["code"] == 424
    for name in where:
        value = value[name]
    assert value.startswith("wiretape: not recorded (nothing recorded for this host)")


def test_ollama_s_shape(replaying: Callable[..., Inside]) -> None:
    proxy = replaying()
    with proxy.client(proxy=None, base_url=proxy.url) as client:
        got = client.post("/ollama/api/chat", json={"model": "m", "messages": MESSAGES})
    assert got.status_code == 424
    assert got.json()["error"].startswith("wiretape: not recorded")


def explained(proxy: Inside, request: Any, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """Exit status and output of `run.py explain` for a request."""
    file = proxy.home / "request.json"
    file.write_text(json.dumps(request))
    capsys.readouterr()
    status = main(["explain", str(file), "--home", str(proxy.home), *more])
    said = capsys.readouterr()
    return status, said.out or said.err


def in_file(asked: Ask) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    return {"url": f"https://{asked.host}{asked.target}", "headers": headers, "body": asked.body}


def test_the_same_from_a_file(replaying: Callable[..., Inside], capsys: pytest.CaptureFixture[str]) -> None:
    proxy = replaying(chat("known"), chat("known"), embed("a"))
    for asked in (chat("unknown"), chat("known", stream=True), embed("z")):
        told = message(ask(proxy, asked))
        assert explained(proxy, in_file(asked), capsys) == (1, f"{told}\n")
    status, said = explained(proxy, in_file(chat("known")), capsys)
    assert (status, said[:20], said[-9:]) == (0, "recorded 2 times as ", " (plain)\n")
    status, said = explained(proxy, in_file(chat("unknown")), capsys, "--json")
    content = json.loads(said)
    assert (status, content["recorded"], content["reason"]) == (1, 0, "differs")
    (difference,) = content["differences"]
    assert difference == {"path": "messages[0].content", "recorded": '"known"', "asked": '"unknown"'}


def test_headers_that_count_at_one_provider_count_in_a_file(inside: Within, capsys: pytest.CaptureFixture[str]) -> None:
    block = {"hosts": "api.openai.com", "routes": {"POST /v1/chat/completions": "openai_chat"}, "key_headers": "x-team"}
    recorder = inside("record", providers={"own": block})
    assert ask(recorder, chat("known"), x_team="blue").status == 200
    recorder.stop()
    file = recorder.home / "wiretape.yaml"
    file.write_text(json.dumps({"providers": {"own": block}}))
    for team, status in (("blue", 0), ("red", 1)):
        request = in_file(chat("known"))
        request["headers"]["x-team"] = team
        assert explained(recorder, request, capsys)[0] == status


def test_a_file_of_show_is_a_request(replaying: Callable[..., Inside], capsys: pytest.CaptureFixture[str]) -> None:
    proxy = replaying(chat("known", stream=True))
    key = ask(proxy, chat("known", stream=True)).headers["x-wiretape-key"]
    capsys.readouterr()
    assert main(["show", key, "--json", "--home", str(proxy.home)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert explained(proxy, shown[0]["request"], capsys) == (0, f"recorded 1 time as {key} (sse)\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1], "a request is an object"),
        ({"url": "https://example.com/"}, "example.com is no known provider"),
        ({"url": "https://api.openai.com:99999/v1"}, "Port out of range"),
        ({"url": "https://[::1/v1"}, "Invalid IPv6 URL"),
        ({"url": "https://api.openai.com/v1/chat/completions", "headers": [1]}, "headers are an object"),
        ({"url": "https://api.openai.com/v1/models", "headers": {"x-wiretape-match": "x"}}, "x-wiretape-match must be"),
    ],
)
def test_a_file_that_is_no_request(content: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(content))
    assert main(["explain", str(file), "--home", str(tmp_path)]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.startswith(f"wiretape: {file}: ")
    assert line.count("\n") == 1
