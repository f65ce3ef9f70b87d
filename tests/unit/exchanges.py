"""Exchanges and flows as the proxy has them once a request was read, for tests of what comes after that."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mitmproxy import http
from mitmproxy.test.tflow import tflow
from mitmproxy.test.tutils import treq

from addons import exchange
from addons.directives import Directives
from addons.exchange import Exchange
from addons.protocols import PROTOCOLS
from addons.protocols.base import Call
from addons.rules import Rules
from addons.tape import Tape, UpstreamError
from addons.upstream import Ask
from cache import Reply
from config import Providers

PROVIDERS = Providers.load({}, PROTOCOLS)
SECRET = "sk-canary-0123456789abcdef"
KEY = "ab" * 32


def rules(**fields: Any) -> Rules:
    """The rules a proxy has unless it is told otherwise."""
    given = {"namespace": "", "version": 0, "refresh_below": 0, "max_age": None, "on_exhausted": "last"}
    return Rules(**{**given, "follow_timeout": 5.0, **fields})


def made(body: Any = None, *, protocol: str = "openai_chat", **fields: Any) -> Exchange:
    """An exchange with OpenAI; `body` is that of its call, a short chat unless given."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]} if body is None else body
    path = "/v1/embeddings" if protocol == "openai_embeddings" else "/v1/chat/completions"
    call = Call("POST", path, headers={"authorization": f"Bearer {SECRET}"}, raw=json.dumps(body).encode(), body=body)
    given = {"mode": "cache", "call": call, "key": KEY, "form": "plain"}
    given |= {"provider": PROVIDERS.by_name["openai"], "protocol": PROTOCOLS[protocol], "host": "api.openai.com"}
    return Exchange(**{**given, **fields})


def flow(found: Exchange | None = None, **request: Any) -> http.HTTPFlow:
    """A flow to OpenAI that carries `found`; `request` are fields of mitmproxy's request."""
    given = {"method": b"POST", "scheme": b"https", "host": "api.openai.com", "port": 443}
    given |= {"path": b"/v1/chat/completions", "content": b"{}", "headers": http.Headers(host="api.openai.com")}
    made_flow = tflow(req=treq(**{**given, **request}))
    if found is not None:
        exchange.attach(made_flow, found)
    return made_flow


def reply(**fields: Any) -> Reply:
    """A stored answer to `made()`."""
    given = {"tenant": "local", "key": KEY, "form": "plain", "provider": "openai", "protocol": "openai_chat"}
    given |= {"host": "api.openai.com", "operation": "POST /v1/chat/completions", "model": "m", "request": b"{}"}
    given |= {"status": 200, "headers": (("content-type", "application/json"),), "body": b"{}", "created": 1000.0}
    return Reply(**{**given, **fields})


def directives(**fields: Any) -> Directives:
    """What a client says, by name."""
    return Directives(**fields)


class Scripted:
    """An upstream that answers as `answer` says: status and body, or why there is none."""

    def __init__(self, answer: Callable[[Ask], tuple[int, bytes] | UpstreamError], limit: int = 1 << 20) -> None:
        self.asked: list[Ask] = []
        self._answer = answer
        self._limit = limit

    def send(self, ask: Ask) -> Tape:
        self.asked.append(ask)
        tape = Tape(self._limit)
        answer = self._answer(ask)
        if isinstance(answer, UpstreamError):
            tape.finish(answer)
        else:
            status, body = answer
            headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("set-cookie", "a=b")]
            tape.begin(status, "", headers)
            tape.add(body)
            tape.finish()
        return tape
