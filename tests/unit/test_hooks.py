"""Who listens to a hook is called, in order, whatever one of them does."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing mitmproxy uses what its own dependencies deprecate
    from mitmproxy.exceptions import AddonHalt
    from mitmproxy.flow import Flow
    from mitmproxy.master import Master
    from mitmproxy.proxy.layers.http import HttpRequestHook
    from mitmproxy.test.tflow import tflow

    from addons.hooks import Listeners

Answer = Callable[[list[str]], None]


class Sync:
    """Notes that it was called, then does what a test wants."""

    def __init__(self, name: str, calls: list[str], then: Answer = lambda calls: None) -> None:
        self.name, self._calls, self._then = name, calls, then

    def request(self, flow: Flow) -> None:
        self._calls.append(self.name)
        self._then(self._calls)


class Async(Sync):
    async def request(self, flow: Flow) -> None:  # type: ignore[override]
        self._calls.append(f"{self.name}, awaited")


class Updated:
    name = "updated"

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def update(self, flows: list[Flow]) -> None:
        self._calls.append(f"update of {len(flows)}")


@pytest.fixture
async def listeners() -> Listeners:
    return Listeners(Master(None))


@pytest.fixture
def calls() -> list[str]:
    return []


async def test_listeners_are_called_in_the_order_they_were_added(listeners: Listeners, calls: list[str]) -> None:
    listeners.add(Sync("one", calls), Async("two", calls))
    await listeners.handle_lifecycle(HttpRequestHook(tflow()))
    listeners.add(Sync("three", calls), Updated(calls))
    await listeners.handle_lifecycle(HttpRequestHook(tflow()))
    assert calls == ["one", "two, awaited", "one", "two, awaited", "three", "update of 1"]


async def test_a_removed_addon_is_not_called(listeners: Listeners, calls: list[str]) -> None:
    gone = Sync("gone", calls)
    listeners.add(gone, Sync("stays", calls))
    await listeners.handle_lifecycle(HttpRequestHook(tflow()))
    listeners.remove(gone)
    await listeners.handle_lifecycle(HttpRequestHook(tflow()))
    assert calls == ["gone", "stays", "stays"]


async def test_an_addon_that_raises_is_logged_and_the_next_has_its_turn(
    listeners: Listeners, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: list[str]) -> None:
        raise ValueError("no good")

    listeners.add(Sync("one", calls, fail), Sync("two", calls))
    with caplog.at_level(logging.ERROR, "wiretape"):
        await listeners.handle_lifecycle(HttpRequestHook(tflow()))
    assert calls == ["one", "two"]
    assert "Addon error: no good" in caplog.text


async def test_a_halt_ends_the_hook(listeners: Listeners, calls: list[str]) -> None:
    def halt(_: list[str]) -> None:
        raise AddonHalt

    listeners.add(Sync("one", calls, halt), Sync("two", calls))
    await listeners.handle_lifecycle(HttpRequestHook(tflow()))
    assert calls == ["one"]
