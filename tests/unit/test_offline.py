"""In replay mode nothing leaves, whatever broke before; and the refusal says why."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test.tflow import tclient_conn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing mitmproxy uses what its own dependencies deprecate
    from mitmproxy.master import Master
    from mitmproxy.proxy.layers.http import HttpRequestHook

    from addons.hooks import Listeners

from addons import answers
from addons.embeddings import Embeddings
from addons.exchange import Exchange, Outcome
from addons.explain import explain
from addons.offline import Offline
from addons.secrets import document
from cache import Store, StoreError
from tests.unit.exchanges import PROVIDERS, SECRET, Scripted, flow, made, reply, rules

HOW = "run.py --mode record exec -- COMMAND"


@pytest.fixture
def offline(store: Store) -> Offline:
    return Offline(store, PROVIDERS, HOW, "")


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


async def record(store: Store, body: Any, **fields: Any) -> None:
    found = made(body)
    assert found.call is not None
    request = document(found.call, found.protocol, "https://api.openai.com", found.secrets)
    await store.put(reply(request=request, **{"key": "cd" * 32, **fields}))


async def why(store: Store, found: Exchange) -> str:
    return (await explain(store, found, HOW, "")).reason


async def test_reasons(store: Store) -> None:
    assert await why(store, made(mode="replay")) == "nothing recorded for this host"
    await record(store, chat("x"), operation="POST /v1/other")
    assert await why(store, made(mode="replay")) == "nothing recorded for this endpoint"
    await record(store, chat("x"), key="ef" * 32)
    assert await why(store, made(mode="replay")) == "differs"
    assert await why(store, made(mode="replay", tenant="other")) == "nothing recorded for this host"
    await record(store, chat("x"), key=made().key, form="sse")
    assert await why(store, made(mode="replay")) == "form differs: recorded as sse, asked for as plain"
    assert await why(store, made(reason="exhausted: recorded 1 times, asked for 2 times")) == (
        "exhausted: recorded 1 times, asked for 2 times"
    )
    assert await why(store, made(reason="websocket")) == "excluded: websocket"
    assert await why(store, made(key="")) == "excluded: the request was not read"


async def test_the_nearest_and_what_differs(store: Store) -> None:
    await record(store, chat("something else entirely"), key="11" * 32)
    await record(store, chat("hello", temperature=1), key="22" * 32)
    told = str(await explain(store, made(chat("hello", temperature=0)), HOW, ""))
    assert "222222222222 (m)" in told
    assert "temperature: recorded 1, asked 0" in told
    assert told.endswith(f"record it with: {HOW}")


async def test_of_embeddings_the_unknown_inputs_are_named(store: Store) -> None:
    def vectors(inputs: list[str]) -> bytes:
        rows = [{"index": at, "embedding": [1.0, 2.0]} for at, _ in enumerate(inputs)]
        return json.dumps({"data": rows, "model": "m"}).encode()

    asking = Embeddings(store, Scripted(lambda _: (200, b"")), rules())  # type: ignore[arg-type]
    body = {"model": "m", "input": ["a", "b"]}
    await asking.learn(made(body, protocol="openai_embeddings"), vectors(["a", "b"]))
    asked = made({"model": "m", "input": ["b", f"my {SECRET}", "a"]}, protocol="openai_embeddings", mode="replay")
    told = str(await explain(store, asked, HOW, ""))
    assert "input[1]: recorded nothing, asked" in told
    assert "input[0]" not in told
    assert SECRET not in told


async def test_a_refusal_is_in_the_providers_shape_and_final(offline: Offline) -> None:
    refused = flow(made(mode="replay"))
    await offline.request(refused)
    assert refused.response is not None
    assert (refused.response.status_code, refused.response.headers["x-should-retry"]) == (424, "false")
    error = refused.response.json()["error"]
    assert "nothing recorded for this host" in error["message"]
    assert HOW in error["message"]
    assert error["code"] == "not_recorded"


async def test_it_answers_no_second_time_and_nobody_we_do_not_know(offline: Offline) -> None:
    answered = flow(made(mode="replay"))
    answered.response = response = answers.response(200, [], b"{}")
    await offline.request(answered)
    assert answered.response is response
    unknown = flow(host="example.com")
    await offline.request(unknown)
    assert unknown.response is None


async def test_a_request_that_nobody_recognised_stays_here_too(offline: Offline) -> None:
    lost = flow()  # the addon that should have seen to it raised
    await offline.request(lost)
    assert lost.response is not None
    assert lost.response.status_code == 424


class Raising:
    """An addon with a bug."""

    def request(self, _: http.HTTPFlow) -> None:
        raise RuntimeError("a bug of ours")


@pytest.mark.parametrize("recognised", [False, True])
async def test_a_bug_before_it_lets_nothing_out(
    recognised: bool, offline: Offline, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = Listeners(Master(None))
    listeners.add(Raising(), offline)
    request = flow(made(mode="replay", call=None, key="") if recognised else None)
    with caplog.at_level(logging.ERROR):
        await listeners.trigger_event(HttpRequestHook(request))
    assert "a bug of ours" in caplog.text
    assert request.response is not None
    assert request.response.status_code == 424


@pytest.mark.parametrize("error", [StoreError("the disk is gone"), ValueError("a bug of ours")])
async def test_whatever_fails_while_it_explains_the_request_is_refused(
    error: Exception, offline: Offline, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> list[object]:
        raise error

    monkeypatch.setattr(store, "find", broken)
    found = made(mode="replay")
    refused = flow(found)
    if isinstance(error, StoreError):
        await offline.request(refused)
        assert refused.response is not None
        assert "the disk is gone" in refused.response.json()["error"]["message"]
    else:
        with pytest.raises(ValueError, match="a bug of ours"):
            await offline.request(refused)
    assert isinstance(refused.response, http.Response)
    assert (refused.response.status_code, found.outcome) == (424, Outcome.NOT_RECORDED)


@pytest.mark.parametrize(
    ("host", "port", "stays"),
    [("api.openai.com", 443, True), ("localhost", 11434, True), ("example.com", 443, False)],
)
def test_no_connection_to_a_provider_is_opened(offline: Offline, host: str, port: int, stays: bool) -> None:
    data = ServerConnectionHookData(Server(address=(host, port)), tclient_conn())
    offline.server_connect(data)
    assert (data.server.error is not None) is stays


def test_a_connection_to_nowhere_is_let_be(offline: Offline) -> None:
    data = ServerConnectionHookData(Server(address=None), tclient_conn())
    offline.server_connect(data)
    assert data.server.error is None
