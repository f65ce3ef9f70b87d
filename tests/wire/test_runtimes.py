"""Every runtime on this machine gets through an intercepting proxy with nothing but our environment."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from addons.certificates import authority
from addons.cli.environment import environment
from tests.wire.answers.answer import Answer
from tests.wire.behaviours import Gate, Sending, gated, giving
from tests.wire.certificates import Authority, Kind, Leaf
from tests.wire.upstream import Upstream

PROGRAMS = Path(__file__).with_name("programs")
PROGRAM = PROGRAMS / "get.cjs"
URL = "https://api.openai.com/v1/models"
BODY = '{"object":"list"}'

Run = Callable[..., str]

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


class Interception(Authority):
    """Leaves as the proxy makes them: by mitmproxy, from the authority in a home."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._ours = authority(home)
        self._store = self._ours.store()

    def issue(self, *hosts: str, kind: Kind = "good") -> Leaf:
        entry = self._store.get_cert(hosts[0], [x509.DNSName(host) for host in hosts])
        key = self._ours.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Leaf(entry.cert.to_pem(), key)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its name, as people have them."""
    return tmp_path_factory.mktemp("wire tape")


@pytest.fixture(scope="module")
def front(home: Path) -> Iterator[Upstream]:
    """Answers for every host, by CONNECT and with our certificates."""
    with Upstream(Interception(home)) as running:
        running.script("/v1/models", giving(200, BODY.encode()))
        yield running


def _environment(address: str, home: Path, **more: str) -> dict[str, str]:
    """What a program behind the proxy at `address` finds, and next to nothing besides."""
    base = {"PATH": os.environ["PATH"], "HOME": str(home), **more}
    return base | environment(f"http://{address}", home, base, proxy_loopback=False)


@pytest.fixture
def run(front: Upstream, home: Path) -> Run:
    """Run a program behind `front` and give what it printed."""

    def behind(*command: str | Path) -> str:
        if shutil.which(command[0]) is None:
            pytest.skip(f"needs {command[0]}")
        env = _environment(front.address, home)
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return behind


def _seen(front: Upstream, mark: str) -> list[str]:
    """The methods and targets of the requests that carry this mark in their query."""
    return [f"{request.method} {request.target}" for request in front.seen(f"?{mark}")]


PYTHON = {
    "urllib": "import urllib.request as u; print(u.urlopen(URL).read().decode())",
    "requests": "import requests; print(requests.get(URL).text)",
    "httpx": "import httpx; print(httpx.get(URL).text)",
    "httpx2": "import httpx2; print(httpx2.get(URL).text)",
    "aiohttp": """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(URL) as response:
        print(await response.text())
asyncio.run(main())
""",
}


@pytest.mark.parametrize("client", PYTHON)
def test_python(run: Run, front: Upstream, client: str) -> None:
    url = f"{URL}?{client}"
    assert run(sys.executable, "-c", f"URL = {url!r}\n{PYTHON[client]}").strip() == BODY
    assert _seen(front, client) == [f"GET /v1/models?{client}"]


def test_curl(run: Run, front: Upstream) -> None:
    assert run("curl", "-sS", f"{URL}?curl") == BODY
    assert _seen(front, "curl") == ["GET /v1/models?curl"]


def test_git(run: Run, front: Upstream) -> None:
    line = b"a" * 40 + b"\trefs/heads/main\n"
    front.script("/some.git/info/refs", giving(200, line, [("content-type", "text/plain")]))
    assert run("git", "ls-remote", "https://api.openai.com/some.git") == line.decode()


@pytest.mark.parametrize("client", ["connection", "client"])
def test_java(run: Run, front: Upstream, client: str) -> None:
    assert run("java", PROGRAMS / "Get.java", client, f"{URL}?java-{client}") == BODY
    assert _seen(front, f"java-{client}") == [f"GET /v1/models?java-{client}"]


@pytest.mark.parametrize("client", ["fetch", "https", "agent", "keepalive", "module", "worker"])
def test_node(run: Run, front: Upstream, client: str) -> None:
    assert run("node", PROGRAM, client, f"{URL}?node-{client}") == BODY
    assert _seen(front, f"node-{client}") == [f"GET /v1/models?node-{client}"]


@pytest.mark.parametrize("client", ["fetch", "http"])
def test_node_without_tls(run: Run, front: Upstream, client: str) -> None:
    url = f"http://api.example.com/v1/models?plain-{client}"
    assert run("node", PROGRAM, client, url) == BODY
    assert _seen(front, f"plain-{client}") == [f"GET /v1/models?plain-{client}"]


@pytest.mark.parametrize("client", ["fetch", "https"])
def test_node_sends_and_gets_large_bodies_whole(run: Run, front: Upstream, client: str) -> None:
    def echo(sending: Sending) -> None:
        sending.answer = Answer(200, [("content-type", "text/plain")], [sending.request.body])
        giving(200, sending.request.body)(sending)

    front.script("/echo", echo)
    text = run("node", PROGRAM, client, "https://api.openai.com/echo", "3000000")
    assert text == "abcdefghij" * 300_000


@needs_node
@pytest.mark.parametrize("client", ["fetch", "https"])
def test_node_reads_a_stream_as_it_comes(front: Upstream, home: Path, client: str) -> None:
    gate = Gate()

    def pieces(sending: Sending) -> None:
        sending.answer = Answer(200, [("content-type", "text/plain")], [b"one\n", b"two\n"], streamed=True)
        gated(gate)(sending)

    front.script(f"/stream-{client}", pieces)
    command = ["node", PROGRAM, client, f"https://api.openai.com/stream-{client}"]
    env = _environment(front.address, home)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        gate.allow()
        assert process.stdout.readline() == "one\n"
        gate.allow()
        assert process.stdout.read() == "two\n"
    assert process.returncode == 0


@needs_node
@pytest.mark.parametrize("client", ["fetch", "https"])
def test_node_tells_when_the_proxy_is_gone(home: Path, client: str) -> None:
    with Upstream() as gone:
        address = gone.address
    done = _node(_environment(address, home), client, URL)
    assert done.returncode == 1
    assert f"ECONNREFUSED {address}" in done.stderr


@needs_node
@pytest.mark.parametrize("client", ["fetch", "http"])
@pytest.mark.parametrize("exempt", ["127.0.0.1", ".0.0.1", "0.0.1:{port}", "*"])
def test_node_goes_straight_to_exempt_hosts(home: Path, client: str, exempt: str) -> None:
    with Upstream() as gone:
        proxy = gone.address
    with Upstream() as local:
        local.script("/v1/models", giving(200, BODY.encode()))
        env = _environment(proxy, home) | {"no_proxy": exempt.format(port=local.port)}
        assert _node(env, client, f"http://{local.address}/v1/models").stdout == BODY


@needs_node
@pytest.mark.parametrize("exempt", ["", "0.0.1:9", "27.0.0.1", "localhost"])
def test_node_takes_no_other_host_for_exempt(home: Path, exempt: str) -> None:
    with Upstream() as gone:
        proxy = gone.address
    with Upstream() as local:
        env = _environment(proxy, home) | {"no_proxy": exempt, "NO_PROXY": exempt}
        assert f"ECONNREFUSED {proxy}" in _node(env, "fetch", f"http://{local.address}/v1/models").stderr


@needs_node
@pytest.mark.parametrize("client", ["fetch", "https"])
def test_node_gives_credentials_and_takes_a_refusal(home: Path, client: str) -> None:
    asked: list[bytes] = []

    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        address = f"local:k%40y@127.0.0.1:{listener.getsockname()[1]}"
        done = _node(_environment(address, home), client, URL)
        thread.join()
    assert done.returncode == 1
    assert "the proxy answered CONNECT api.openai.com:443 with status 407" in done.stderr
    assert asked[0].startswith(b"CONNECT api.openai.com:443 HTTP/1.1\r\n")
    assert b"Basic " + base64.b64encode(b"local:k@y") in asked[0]


def _node(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", PROGRAM, *arguments], env=env, capture_output=True, text=True, timeout=60)
