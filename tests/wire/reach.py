"""Ways for a test's clients to a running proxy: environment, trust, and connections of several kinds."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from addons.cli.environment import environment

ROOT = Path(__file__).parents[2]
"""The project."""

PATIENCE = 30.0
"""Seconds after which something that should have happened long ago has failed."""

HOSTS = (
    "api.openai.com:443",
    "api.anthropic.com:443",
    "generativelanguage.googleapis.com:443",
    "aiplatform.googleapis.com:443",
    "europe-west4-aiplatform.googleapis.com:443",
    "api.mistral.ai:443",
    "api.cohere.com:443",
    "api.groq.com:443",
    "api.deepseek.com:443",
    "openrouter.ai:443",
    "api.cerebras.ai:443",
    "router.huggingface.co:443",
    "api.z.ai:443",
    "api.voyageai.com:443",
    "bedrock-runtime.us-east-1.amazonaws.com:443",
    "localhost:11434",
    "127.0.0.1:11434",
)
"""Where providers are reached; in tests all of it is the scripted upstream."""


def clean_environment() -> dict[str, str]:
    """This process' environment without what would steer the proxy or its clients."""
    steering = re.compile(r"WIRETAPE_.*|(http|https|all|no)_proxy", re.IGNORECASE)
    return {name: value for name, value in os.environ.items() if not steering.fullmatch(name)}


class Reachable:
    """A proxy as its clients see it: an address, and a home where its authority lies."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.host, self.port = "127.0.0.1", 0
        self._environment: dict[str, str] | None = None

    @property
    def url(self) -> str:
        """What to set HTTPS_PROXY to, or to build a base URL on."""
        return f"http://{self.host}:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate clients have to trust."""
        return self.home / "wiretape-ca-cert.pem"

    @property
    def env(self) -> dict[str, str]:
        """This process' environment with what `exec` adds to it, calls to loopback addresses included."""
        if self._environment is None or self._environment["HTTPS_PROXY"] != self.url:
            base = clean_environment()
            self._environment = base | environment(self.url, self.home, base, proxy_loopback=True)
        return self._environment

    def trust(self) -> ssl.SSLContext:
        """What a client trusts that knows the proxy's authority and nobody else."""
        return ssl.create_default_context(cafile=self.ca)

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator[httpx2.Client]:
        """An HTTP client that goes through the proxy; `options` are httpx2's."""
        given = {"proxy": self.url, "verify": self.trust(), "trust_env": False, "timeout": PATIENCE, **options}
        with httpx2.Client(**given) as client:
            yield client

    @contextlib.contextmanager
    def connection(self, host: str, port: int = 443) -> Iterator[http.client.HTTPSConnection]:
        """A tunnel to `host` as the standard library opens it: no retries, nothing decoded, headers as they come."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=PATIENCE, context=self.trust())
        connection.set_tunnel(host, port)
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def tunnel(self, host: str, port: int = 443, context: ssl.SSLContext | None = None) -> Iterator[ssl.SSLSocket]:
        """A bare TLS socket to `host` through CONNECT, for bytes no client library would send."""
        with socket.create_connection((self.host, self.port), timeout=PATIENCE) as raw:
            raw.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                piece = raw.recv(1)
                if not piece:
                    raise ConnectionError(f"no tunnel to {host}:{port}: {answer!r}")
                answer += piece
            if b" 200 " not in answer.splitlines()[0]:
                raise ConnectionError(f"no tunnel to {host}:{port}: {answer!r}")
            with (context or self.trust()).wrap_socket(raw, server_hostname=host) as secured:
                yield secured
