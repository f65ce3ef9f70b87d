"""Programs that are not Python behind a real proxy, placed there by environment variables alone: Node and curl."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.wire import node
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream

URL = "https://api.openai.com/v1/chat/completions"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of the Node programs."""
    try:
        return node.install()
    except node.NoNode as error:
        pytest.skip(str(error))


def chat(text: str, **more: Any) -> str:
    """A chat request as JSON."""
    return json.dumps({"model": "gpt-program", "messages": [{"role": "user", "content": text}], **more})


def curl(env: Mapping[str, str], body: str, *more: str) -> tuple[dict[str, str], bytes]:
    """What curl got: the last block of headers (lower-case names, with `status`) and the body."""
    command = ["curl", "-sS", "-i", "--suppress-connect-headers", "-d", body, *more, URL]
    headers = ["-H", "content-type: application/json", "-H", "authorization: Bearer canary-of-curl"]
    done = subprocess.run([*command, *headers], env=dict(env), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return {"status": first.split()[1], **{name.lower(): value for name, _, value in pairs}}, content


@pytest.mark.parametrize("form", ["plain", "stream", "embed"])
def test_openai_for_node(form: str, programs: Path, caching: Proxy, upstream: Upstream, salt: str) -> None:
    first = node.run(programs / "openai.mjs", form, salt, env=caching.env)
    second = node.run(programs / "openai.mjs", form, salt, env=caching.env)
    assert first["headers"]["x-wiretape-outcome"] == "miss"
    assert second["headers"]["x-wiretape-outcome"] == "hit"
    assert second["answer"] == first["answer"]
    assert len(upstream.seen(salt)) == 1
    assert second["answer"]


def test_node_s_own_fetch(programs: Path, caching: Proxy, upstream: Upstream, salt: str) -> None:
    first = node.run(programs / "fetch.mjs", URL, chat(salt), env=caching.env)
    second = node.run(programs / "fetch.mjs", URL, chat(salt), env=caching.env)
    assert [one["headers"]["x-wiretape-outcome"] for one in (first, second)] == ["miss", "hit"]
    assert second["text"] == first["text"] == upstream.sent(salt)[0].body.decode()
    assert len(upstream.seen(salt)) == 1


@needs_curl
@pytest.mark.parametrize("more", [(), ("--http1.1",)], ids=["http2", "http1.1"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_curl(stream: bool, more: tuple[str, ...], caching: Proxy, upstream: Upstream, salt: str) -> None:
    first, whole = curl(caching.env, chat(salt, stream=stream), *more)
    second, again = curl(caching.env, chat(salt, stream=stream), *more)
    assert (first["status"], first["x-wiretape-outcome"]) == ("200", "miss")
    assert (second["status"], second["x-wiretape-outcome"]) == ("200", "hit")
    assert again == whole == upstream.sent(salt)[0].body
    assert len(upstream.seen(salt)) == 1


@needs_curl
def test_recorded_and_replayed_without_a_provider(
    proxy: Callable[..., Proxy], programs: Path, upstream: Upstream, salt: str
) -> None:
    recorder = proxy("record")
    plain = node.run(programs / "openai.mjs", "plain", salt, env=recorder.env)
    _, streamed = curl(recorder.env, chat(salt, stream=True))
    with upstream.down():
        recorder.restart(mode="replay")
        assert node.run(programs / "openai.mjs", "plain", salt, env=recorder.env)["answer"] == plain["answer"]
        headers, again = curl(recorder.env, chat(salt, stream=True))
        assert (headers["x-wiretape-outcome"], again) == ("hit", streamed)
        refused, body = curl(recorder.env, chat(f"{salt} indeed"))
        assert (refused["status"], refused["x-wiretape-outcome"]) == ("424", "not-recorded")
        assert f"{salt} indeed" in json.loads(body)["error"]["message"]
        error = node.run(programs / "openai.mjs", "plain", f"{salt} indeed", env=recorder.env)["error"]
        assert (error["kind"], error["status"]) == ("APIError", 424)
        assert f"{salt} indeed" in error["message"]
