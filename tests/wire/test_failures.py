"""Providers that misbehave: the client gets a clear answer at once, and nothing wrong is kept."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire import behaviours
from tests.wire.asking import ask, chat, embed
from tests.wire.behaviours import Behaviour, Coding, Sending
from tests.wire.certificates import Authority, Kind
from tests.wire.conftest import Starting
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream

if TYPE_CHECKING:
    from tests.wire.inside import Inside

HOST = "api.openai.com:443"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("coding", list(behaviours.CODINGS))
def test_answers_may_be_encoded_although_nobody_asked(
    coding: Coding, stream: bool, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    upstream.script(salt, behaviours.encoded(coding))
    first, second = ask(caching, chat(salt, stream=stream)), ask(caching, chat(salt, stream=stream))
    assert "content-encoding" not in first.headers
    assert first.body == second.body == upstream.sent(salt)[0].answer.body
    assert (first.outcome, second.outcome) == ("miss", "hit")


@pytest.mark.parametrize(
    "behaviour",
    [
        behaviours.hanging_up,
        behaviours.wrong_length(7),
        behaviours.cut(0, "reset", "length"),
        behaviours.cut(0, "ragged", "length"),
        behaviours.cut(0, "close", "length"),
    ],
    ids=["silence", "short", "reset", "ragged", "close"],
)
def test_a_broken_plain_answer_is_a_502_and_the_next_one_is_asked_for(
    behaviour: Behaviour, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    upstream.script(salt, behaviour)
    broken = ask(caching, chat(salt))
    assert broken.status == 502
    assert broken.outcome == "cut"
    assert json.loads(broken.body)["error"]["message"].startswith("wiretape: ")
    upstream.script(salt, behaviours.answering)
    assert ask(caching, chat(salt)).outcome == "miss"
    assert ask(caching, chat(salt)).outcome == "hit"


def test_more_bytes_than_promised_are_not_part_of_the_answer(caching: Proxy, upstream: Upstream, salt: str) -> None:
    """The rest would be read as the next answer on that connection."""
    upstream.script(salt, behaviours.wrong_length(-9), times=1)
    first = ask(caching, chat(salt))
    again = ask(caching, chat(salt))
    assert again.outcome == "miss", "a body that is not JSON was kept"
    assert again.body == upstream.sent(salt)[1].body
    assert first.body != again.body


@pytest.mark.parametrize("status", [400, 401, 404, 408, 409, 429, 500, 503, 529])
def test_refusals_pass_as_they_are_and_are_not_kept(status: int, caching: Proxy, upstream: Upstream, salt: str) -> None:
    said = b'{"error": {"message": "no", "type": "of the provider"}}'
    upstream.script(salt, behaviours.giving(status, said, [("retry-after", "3")]), times=1)
    refused = ask(caching, chat(salt))
    assert (refused.status, refused.body, refused.headers["retry-after"]) == (status, said, "3")
    assert ask(caching, chat(salt)).outcome == "miss"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<html>busy</html>", b"null", b'{"object": "chat.completion"}', b'{"error": {"message": "x"}}']
)
def test_a_200_that_is_no_answer_passes_but_is_not_kept(
    body: bytes, caching: Proxy, upstream: Upstream, salt: str
) -> None:
    upstream.script(salt, behaviours.giving(200, body), times=1)
    assert ask(caching, chat(salt)).body == body
    assert ask(caching, chat(salt)).outcome == "miss"


def test_a_bomb_is_not_unpacked_for_ever(
    inside: Callable[..., Inside], upstream: Upstream, salt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addons.upstream._DECODED_LIMIT", 4 << 20)

    def behave(sending: Sending) -> None:
        body = gzip.compress(sending.answer.body + b" " * (8 << 20))
        sending.head("length", len(body), [("content-encoding", "gzip")])
        sending.send(body)

    upstream.script(salt, behave, times=1)
    proxy = inside()
    with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
        ask(proxy, chat(salt))
    assert ask(proxy, chat(salt)).outcome == "miss"


@pytest.mark.parametrize("kind", ["wrong-name", "self-signed", "expired"])
def test_certificates_of_providers_are_verified(
    kind: Kind, proxy: Starting, authority: Authority, upstream: Upstream, salt: str
) -> None:
    with Upstream(authority, kind) as impostor:
        running = proxy(upstream={"connect_to": {HOST: impostor.address}})
        refused = ask(running, chat(salt))
        assert refused.status == 502
        assert "certificate" in json.loads(refused.body)["error"]["message"].lower()
        assert impostor.seen() == [], "a key was sent to an impostor"


def test_a_provider_that_cannot_be_reached(proxy: Starting, authority: Authority, salt: str) -> None:
    with Upstream(authority) as gone:
        address = gone.address
    running = proxy(upstream={"connect_to": {HOST: address}})
    refused = ask(running, chat(salt))
    assert refused.status == 502
    assert "api.openai.com:443" in json.loads(refused.body)["error"]["message"]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda data: data[:-1],
        lambda data: [*data, data[0]],
        lambda data: [{**data[0], "embedding": data[0]["embedding"][:-1]}, *data[1:]],
        lambda data: [{**data[0], "embedding": [float("nan"), *data[0]["embedding"][1:]]}, *data[1:]],
        lambda data: [{**one, "index": 0} for one in data],
    ],
    ids=["too-few", "too-many", "dimension", "nan", "index"],
)
def test_wrong_vectors_are_a_502_and_none_is_kept(
    break_it: Callable[[Any], Any], caching: Proxy, upstream: Upstream, salt: str
) -> None:
    def behave(sending: Sending) -> None:
        whole = json.loads(sending.answer.body)
        whole["data"] = break_it(whole["data"])
        behaviours.giving(200, json.dumps(whole).encode())(sending)

    upstream.script(salt, behave, times=1)
    asked = embed(f"{salt} a", f"{salt} b", encoding_format="float")
    assert ask(caching, asked).status == 502
    assert ask(caching, asked).outcome == "miss"
    assert len(json.loads(upstream.seen(salt)[1].body)["input"]) == 2
