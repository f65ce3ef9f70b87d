"""No credential at rest: a canary in every place one can stand, then a search of all that was written and said."""

from __future__ import annotations

import json
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.wire import behaviours
from tests.wire.asking import got
from tests.wire.behaviours import Behaviour, Sending
from tests.wire.conftest import Starting
from tests.wire.leaks import BEHAVIOURS, JSON, PLACES, Sent, arrived, canaries, files, hits, log, run, send_all, told
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream


@pytest.fixture
def scripted(upstream: Upstream) -> Iterator[Callable[[Behaviour], None]]:
    """Let the upstream behave in one way for every request of a test."""
    yield lambda behaviour: upstream.script("", behaviour)
    upstream.script("", behaviours.answering)


@pytest.mark.parametrize("name", BEHAVIOURS)
@pytest.mark.parametrize("mode", ["cache", "record"])
def test_no_credential_is_stored_or_said(
    mode: str, name: str, proxy: Starting, upstream: Upstream, salt: str, scripted: Callable[[Behaviour], None]
) -> None:
    scripted(BEHAVIOURS[name])
    running = proxy(mode, log_level="debug", record_errors=True)
    secrets = canaries(PLACES)
    answers = send_all(running, upstream, secrets, salt)
    # A proxy's own credential is for the proxy.
    assert arrived(upstream, secrets) == ["proxy-authorization"]
    if name == "answers":
        stored = sum("stored" in answer.headers["cache-status"] for answer in answers.values())
        assert stored > len(PLACES) / 2
    assert hits(secrets, files(running.home)) == []
    running.stop()
    texts = told(running)
    assert hits(secrets, texts | log(running) | files(running.home)) == []
    if name == "answers":
        assert salt.encode() in texts["rows"], "the search does not see what is stored"


@pytest.mark.parametrize("name", ["answers", "echoes"])
def test_nor_in_a_cassette_nor_in_what_explains_a_miss(
    name: str, proxy: Starting, upstream: Upstream, salt: str, scripted: Callable[[Behaviour], None], tmp_path: Path
) -> None:
    folder = tmp_path / "cassette"
    scripted(BEHAVIOURS[name])
    recording = proxy("record", log_level="debug", cassette=str(folder), record_errors=True)
    recorded = canaries(PLACES)
    send_all(recording, upstream, recorded, salt)
    recording.stop()
    texts = files(folder)
    assert hits(recorded, texts | log(recording)) == []
    assert name == "echoes" or any(salt.encode() in text for text in texts.values())
    replaying = proxy("replay", log_level="debug", cassette=str(folder))
    asked = canaries(PLACES)
    before = len(upstream.seen())
    missed = send_all(replaying, upstream, asked, f"{salt} otherwise")
    replaying.stop()
    assert len(upstream.seen()) == before
    assert {answer.status for answer in missed.values()} <= {424, 200}
    assert sum(answer.status == 424 for answer in missed.values()) > len(missed) / 2
    texts = {where: answer.body + repr(answer.headers).encode() for where, answer in missed.items()}
    assert hits(recorded | {f"asked {name}": secret for name, secret in asked.items()}, texts) == []
    assert hits(asked, files(folder, replaying.home) | log(replaying)) == []


def test_explain_tells_no_credential(proxy: Starting, upstream: Upstream, salt: str, tmp_path: Path) -> None:
    running = proxy()
    recorded, asked = canaries(PLACES), canaries(PLACES)
    send_all(running, upstream, recorded, salt)
    running.stop()
    said: dict[str, bytes] = {}
    for name, secret in asked.items():
        sent = PLACES[name](secret)
        if not isinstance(sent.body, bytes):
            body = {"messages": [{"role": "user", "content": f"{salt} else"}], **(sent.body or {"model": "gpt-test"})}
            file = tmp_path / f"{len(said)}.json"
            url = f"https://{sent.host}{sent.target}"
            file.write_text(json.dumps({"url": url, "headers": dict(sent.headers), "body": body}))
            status, said[name] = run(running, "explain", str(file))
            assert status in (0, 1), said[name]
    assert sum(b"nearest recording" in text for text in said.values()) > len(said) / 2
    assert hits(recorded | {f"asked {name}": secret for name, secret in asked.items()}, said) == []


REFUSED = {
    "no colon": b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nX-Api-Key %b\r\n\r\n",
    "request line": b"POST /v1/chat/completions?acme=%b x HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
    "control": b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer %b\x01\x00\r\n"
    b"Content-Length: 2\r\nConnection: close\r\n\r\n{}",
    "not ASCII": b"POST /v1/chat/completions?key=%b\xff HTTP/1.1\r\nHost: api.openai.com\r\nx-api-key: %b\xff\r\n"
    b"Content-Length: 2\r\nConnection: close\r\n\r\n{}",
}


def test_broken_requests_are_not_quoted(proxy: Starting, upstream: Upstream) -> None:
    running = proxy(log_level="debug")
    secrets = canaries(REFUSED)
    for name, secret in secrets.items():
        with running.tunnel("api.openai.com") as connection:
            connection.sendall(REFUSED[name].replace(b"%b", secret.encode()))
            assert connection.recv(1 << 16)
    with running.connection("api.openai.com") as through:  # userinfo in an absolute URL
        through.request("GET", f"https://me:{secrets['control']}@api.openai.com/v1/models")
        got(through.getresponse())
    running.stop()
    assert hits(secrets, files(running.home) | log(running)) == []
    assert "Traceback" not in "\n".join(running.log)


def test_what_belongs_to_one_call_is_not_kept_with_its_answer(proxy: Starting, upstream: Upstream, salt: str) -> None:
    secrets = canaries(dict.fromkeys(("set-cookie", "openai-organization", "x-request-id", "content-disposition")))

    def behave(sending: Sending) -> None:
        given = [("content-type", JSON), *((name, f"{name}={secret}") for name, secret in list(secrets.items())[:3])]
        given.append(("content-disposition", sending.request.header("x-acme")))
        behaviours.giving(200, sending.answer.body, given)(sending)

    upstream.script(salt, behave)
    running = proxy()
    sent = Sent(body={"model": "m", "messages": [{"role": "user", "content": salt}]})
    first = sent.on(running, salt)
    assert secrets["set-cookie"] in first.headers["set-cookie"], "this client was meant to have it"
    again = sent.on(running, salt)
    assert again.headers["x-wiretape-outcome"] == "hit"
    assert not set(secrets) - {"content-disposition"} & set(again.headers)
    echoed = Sent(headers={"x-acme": secrets["content-disposition"]}, body={"model": "echo"}).on(running, salt)
    assert echoed.headers["content-disposition"] == secrets["content-disposition"]
    running.stop()
    assert hits(secrets, told(running) | files(running.home)) == []


@pytest.mark.parametrize("verb", ["settings", "serve", "ls", "stats"])
def test_the_password_of_a_store_is_never_printed(verb: str, tmp_path: Path) -> None:
    secret = uuid.uuid4().hex
    where = Proxy(tmp_path / "home", {})
    url = f"postgresql://me:{secret}@127.0.0.1:1/none?password={secret}"
    for arguments in ([verb], [verb, "--log-level", "debug"], [verb, "--port", secret]):
        status, said = run(where, *arguments, "--store", url)
        assert status == (0 if arguments[1:] in ([], ["--log-level", "debug"]) and verb == "settings" else 2), said
        assert hits({verb: f"canary+{secret}"}, {"": said.replace(f"port={secret}".encode(), b"")}) == []
        assert b"Traceback" not in said


PUBLIC = re.compile(r"(upstream-roots|wiretape-ca-cert|wiretape-(bundle|additions|truststore)-\w+)\.\w+")
"""Certificates, for everyone to read."""


def test_what_we_create_is_ours_alone(proxy: Starting, salt: str, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        running = proxy("record", cassette=str(tmp_path / "cassette"))
        Sent().on(running, salt)
        running.restart(cassette=None)
        Sent().on(running, salt)
        running.restart(mode="cache")
        Sent().on(running, f"{salt} while it runs")
        open_to_others = [
            str(path)
            for folder in (running.home, tmp_path / "cassette")
            for path in (folder, *folder.rglob("*"))
            if path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not PUBLIC.fullmatch(path.name)
        ]
        names = {path.name for path in running.home.rglob("*")}
    finally:
        os.umask(before)
    assert {"wiretape.db", "wiretape.db-wal", "wiretape.db-shm"} <= names
    assert open_to_others == []
