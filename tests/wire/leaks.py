"""Canaries in every place a credential can stand, and a search of all that is written and said."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import re
import sqlite3
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from addons.cli import main
from cache.codec import unpack
from tests.wire import behaviours
from tests.wire.asking import Got, got
from tests.wire.behaviours import Behaviour, Sending
from tests.wire.proxy import Proxy
from tests.wire.upstream import Upstream

CHAT = "/v1/chat/completions"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Sent:
    """One request with a canary in it."""

    host: str = "api.openai.com"
    method: str = "POST"
    target: str = CHAT
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def on(self, proxy: Proxy, salt: str) -> Got:
        """Send it; `salt` makes it a request of its own."""
        body = self.body if self.body is not None else {"model": "gpt-test"}
        if isinstance(body, dict):
            body = json.dumps({"messages": [{"role": "user", "content": salt}], **body}).encode()
        with proxy.connection(self.host) as connection:
            connection.request(self.method, self.target, body, {"content-type": JSON, **self.headers})
            response = connection.getresponse()
            try:
                return got(response)
            except (http.client.HTTPException, OSError):
                return Got(response.status, dict(response.getheaders()), b"")  # cut


Place = Callable[[str], Sent]


def _header(name: str, before: str = "", after: str = "") -> Place:
    return lambda canary: Sent(headers={name: f"{before}{canary}{after}"})


def _query(name: str) -> Place:
    return lambda canary: Sent(target=f"{CHAT}?{name}={quote(canary, safe='')}")


def _member(put: Callable[[str], Any]) -> Place:
    return lambda canary: Sent(body={"model": "gpt-test", **put(canary)})


def _basic(canary: str) -> Sent:
    return Sent(headers={"authorization": "Basic " + base64.b64encode(f"user:{canary}".encode()).decode()})


def _signed(canary: str) -> Sent:
    signature = f"Credential={canary}/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature={canary}"
    return Sent(
        host="bedrock-runtime.us-east-1.amazonaws.com",
        target="/model/test.model-v1%3A0/converse",
        headers={"authorization": f"AWS4-HMAC-SHA256 {signature}", "x-amz-security-token": canary},
    )


def _responses(tool: Callable[[str], Any]) -> Place:
    return lambda canary: Sent(
        target="/v1/responses",
        body={"model": "gpt-test", "input": "hello", "store": False, "tools": [{"type": "mcp", **tool(canary)}]},
    )


def _multipart(canary: str) -> Sent:
    lines = ("--cut", 'Content-Disposition: form-data; name="api_key"', "", canary, "--cut--", "")
    kind = {"content-type": "multipart/form-data; boundary=cut"}
    return Sent(target="/v1/audio/transcriptions", headers=kind, body="\r\n".join(lines).encode())


def _shaped(canary: str) -> str:
    """The canary in the shape of a well-known issuer's key."""
    return "sk-proj-" + re.sub(r"\W", "", canary)


PLACES: dict[str, Place] = {
    "bearer": _header("Authorization", "Bearer "),
    "bare authorization": _header("Authorization"),
    "basic": _basic,
    "proxy-authorization": _header("Proxy-Authorization", "Bearer "),
    "cookie": _header("Cookie", "session=", "; theme=dark"),
    "aws signature": _signed,
    **{
        name: _header(name)
        for name in ("x-api-key", "api-key", "x-goog-api-key", "Ocp-Apim-Subscription-Key", "X-Auth-Token")
    },
    "custom token": _header("X-Acme-Gateway-Token"),
    "custom header": _header("X-Acme-Thing"),
    **{f"query {name}": _query(name) for name in ("key", "api_key", "sig", "access_token", "acme")},
    "gemini key": lambda canary: Sent(
        host="generativelanguage.googleapis.com",
        target=f"/v1beta/models/gemini-test:generateContent?key={quote(canary, safe='')}",
        body={"contents": [{"role": "user", "parts": [{"text": canary[:0] + "hello"}]}]},
    ),
    "body api_key": _member(lambda canary: {"api_key": canary}),
    "body password": _member(lambda canary: {"extra": {"deep": [{"password": canary}]}}),
    "body list": _member(lambda canary: {"api_keys": ["first", canary]}),
    "body object": _member(lambda canary: {"credentials": {"id": "me", "value": canary}}),
    "body pair": _member(lambda canary: {"headers": [{"name": "Authorization", "value": f"Bearer {canary}"}]}),
    "mcp headers": _responses(
        lambda canary: {"server_url": "https://mcp.test/", "headers": {"Authorization": f"Bearer {canary}"}}
    ),
    "mcp custom header": _responses(lambda canary: {"server_url": "https://mcp.test/", "headers": {"X-Thing": canary}}),
    "mcp authorization": _responses(lambda canary: {"server_url": "https://mcp.test/", "authorization": canary}),
    "mcp url": _responses(lambda canary: {"server_url": f"https://me:{quote(canary, safe='')}@mcp.test/sse"}),
    "anthropic mcp": lambda canary: Sent(
        host="api.anthropic.com",
        target="/v1/messages",
        body={"model": "claude-test", "max_tokens": 9, "mcp_servers": [{"authorization_token": canary}]},
    ),
    "prompt": lambda canary: Sent(
        body={"model": "gpt-test", "messages": [{"role": "user", "content": f"my key is {_shaped(canary)}, why?"}]}
    ),
    "embedding input": lambda canary: Sent(
        target="/v1/embeddings", body={"model": "embed-test", "input": [f"a key: {_shaped(canary)}", "other"]}
    ),
    "multipart": _multipart,
}


def canaries(names: Mapping[str, object]) -> dict[str, str]:
    """A secret for each name that no pattern can guess, and that looks different in each encoding."""
    return {name: f"canary+{uuid.uuid4().hex}/Q" for name in names}


def spellings(secret: str) -> Iterator[str]:
    """All the ways in which a secret may lie about, base64 within a longer text included."""
    yield from (secret, _shaped(secret), secret.split("+")[1][:32])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # The first and last characters depend on the neighbours.
            yield encode(b"x" * shift + secret.encode()).decode().rstrip("=")[2 * bool(shift) + 2 : -2]


def hits(secrets: Mapping[str, str], texts: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Which secret is found where."""
    return [
        (name, where)
        for name, secret in secrets.items()
        for where, text in texts.items()
        if any(spelling.encode() in text for spelling in spellings(secret))
    ]


def run(proxy: Proxy, *arguments: str) -> tuple[int, bytes]:
    """One of the other verbs, in the proxy's home: exit status and all it printed."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        warnings.simplefilter("ignore")  # importing mitmproxy uses what its own dependencies deprecate
        try:
            status = main([*arguments, "--home", str(proxy.home)])
        except SystemExit as end:
            status = int(end.code or 0)
    out.seek(0)
    return status, out.read().encode()


def rows(database: Path) -> bytes:
    """All that a database holds, unpacked."""
    found: list[bytes] = []
    with sqlite3.connect(database) as connection:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in connection.execute(f'select * from "{table}"'):
                for value in row:
                    if isinstance(value, bytes):
                        found.append(value)
                        try:
                            found.append(unpack(value))
                        except ValueError:
                            continue
                    elif value is not None:
                        found.append(str(value).encode())
    connection.close()
    return b"\n".join(found)


def files(*folders: Path) -> dict[str, bytes]:
    """Every file in these folders, by its path."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths}


def told(proxy: Proxy) -> dict[str, bytes]:
    """What is in a stopped proxy's database and what the other verbs tell of it, by where."""
    exported = proxy.home.parent / f"exported-{uuid.uuid4().hex}"
    assert run(proxy, "cassette", "export", str(exported))[0] == 0
    texts = {"rows": rows(proxy.home / "wiretape.db"), **files(exported)}
    texts |= {f"loaded {name}": repr(yaml.safe_load(text)).encode() for name, text in files(exported).items()}
    texts |= {" ".join(verb): run(proxy, *verb)[1] for verb in VERBS}
    for each in json.loads(run(proxy, "ls", "--limit", "5", "--json")[1]):
        texts[f"show {each['key']}"] = run(proxy, "show", each["key"])[1] + run(proxy, "show", each["key"], "--json")[1]
    return texts


def log(proxy: Proxy) -> dict[str, bytes]:
    """All that the proxy has said."""
    return {"log": "\n".join(proxy.log).encode()}


VERBS = (("stats",), ("stats", "--json"), ("ls", "--limit", "100"), ("settings",), ("settings", "--json"), ("ca",))


def echoing(sending: Sending) -> None:
    """An answer that says the whole request back, and has credentials of its own."""
    asked = sending.request
    said = json.dumps([asked.target, asked.headers, asked.body.decode("latin-1")])
    answer = {"choices": [{"index": 0, "message": {"content": said}, "finish_reason": "stop"}], "object": "x"}
    if "/embeddings" in asked.target:
        vectors = [{"index": n, "embedding": [1.0, 2.0]} for n, _ in enumerate(asked.json["input"])]
        answer = {"object": "list", "model": said, "data": vectors}
    if "/responses" in asked.target:
        content = [{"type": "output_text", "text": said}]
        answer = {"status": "completed", "output": [{"type": "message", "content": content}]}
    behaviours.giving(200, json.dumps(answer).encode())(sending)


def failing(sending: Sending) -> None:
    """A line that is no header, made of what the client sent."""
    secret = "; ".join(value for _, value in sending.request.headers) + sending.request.target
    sending.connection.sendall(f"HTTP/1.1 200 OK\r\n{secret}\r\n\r\n".encode())
    sending.break_off("close")


BEHAVIOURS: dict[str, Behaviour] = {
    "answers": behaviours.answering,
    "echoes": echoing,
    "fails": failing,
    "cut": behaviours.cut(0, "reset", "length"),
    "refuses": behaviours.giving(401, b'{"error": {"message": "Incorrect API key"}}'),
}


def send_all(proxy: Proxy, upstream: Upstream, secrets: Mapping[str, str], salt: str) -> dict[str, Got]:
    """Each canary from its place, to an upstream that behaves in one way."""
    return {name: PLACES[name](secret).on(proxy, f"{salt} {name}") for name, secret in secrets.items()}


def arrived(upstream: Upstream, secrets: Mapping[str, str]) -> list[str]:
    """The places whose canary never came to the provider: nothing is proved about these."""
    seen = "\n".join(f"{r.target} {r.headers} {r.body.decode('latin-1')}" for r in upstream.seen()).encode()
    return [
        name
        for name, secret in secrets.items()
        if not hits({name: secret}, {"": seen}) and quote(secret, safe="").encode() not in seen
    ]
