"""Fixtures for tests over real sockets."""

from __future__ import annotations

import contextlib
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.certificates import Authority
from tests.wire.heard import Heard, hearing
from tests.wire.hostile import staying_calm
from tests.wire.proxy import Proxy
from tests.wire.reach import HOSTS, Reachable
from tests.wire.upstream import Upstream

if TYPE_CHECKING:
    from tests.wire.inside import Inside

Starting = Callable[..., Proxy]


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The authority that the scripted upstreams' certificates come from."""
    return Authority()


@pytest.fixture(scope="module")
def upstream(authority: Authority) -> Iterator[Upstream]:
    """The scripted provider of one test file; tests keep out of each other's way by their `salt`."""
    with Upstream(authority) as running:
        yield running


@contextlib.contextmanager
def _starting[P: (Proxy, "Inside")](kind: type[P], folder: Path, upstream: Upstream) -> Iterator[Callable[..., P]]:
    ca_file = folder / "upstream-ca.pem"
    ca_file.write_bytes(upstream.authority.pem)
    started: list[P] = []

    def start(mode: str = "cache", *, home: Path | None = None, **settings: Any) -> P:
        wired = {"ca_file": str(ca_file), "connect_to": dict.fromkeys(HOSTS, upstream.address)}
        given = {"mode": mode, **settings, "upstream": {**wired, **settings.get("upstream", {})}}
        proxy = kind(home or folder / f"home-{len(started)}", given)
        started.append(proxy)
        proxy.start()
        return proxy

    try:
        yield start
    finally:
        for proxy in started:
            proxy.stop()


@pytest.fixture
def proxy(tmp_path: Path, upstream: Upstream) -> Iterator[Starting]:
    """Starts proxies that end with the test: `proxy(mode="cache", **settings)`, all wired to `upstream`.

    Other hosts or roots go into `upstream={...}`, the home of another proxy into `home`.
    """
    with _starting(Proxy, tmp_path, upstream) as start:
        yield start


@pytest.fixture(scope="module")
def module_proxy(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Starting]:
    """The same, ending with the test file."""
    with _starting(Proxy, tmp_path_factory.mktemp("proxy"), upstream) as start:
        yield start


@pytest.fixture
def inside(tmp_path: Path, upstream: Upstream) -> Iterator[Callable[..., Inside]]:
    """The same within this process, for tests that reach into the proxy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing mitmproxy uses what its own dependencies deprecate
        from tests.wire.inside import Inside
    with _starting(Inside, tmp_path, upstream) as start:
        yield start


@pytest.fixture(scope="module")
def caching(module_proxy: Starting) -> Proxy:
    """One proxy in `cache` mode for a whole test file."""
    return module_proxy()


@pytest.fixture(scope="module")
def replaying(module_proxy: Starting) -> Proxy:
    """One proxy in `replay` mode for a whole test file, with nothing recorded."""
    return module_proxy("replay")


@pytest.fixture
def calm(caching: Proxy, replaying: Proxy) -> Iterator[None]:
    """Whatever a test sends, neither of the two proxies may crash."""
    with staying_calm(caching, replaying):
        yield


@pytest.fixture
def salt() -> str:
    """A text no other test uses."""
    return f"salt {uuid.uuid4()}"


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Every HTTP response that an SDK in this process gets while the test runs."""
    with hearing() as responses:
        yield responses


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Callable[[Reachable], None]:
    """Put this process behind a proxy by the environment alone, as `wiretape exec` does for another."""

    def place(proxy: Reachable) -> None:
        for name, value in proxy.env.items():
            monkeypatch.setenv(name, value)

    return place
