"""Calls the hooks of addons: which addon listens to what is looked up once, not for every request."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from mitmproxy.addonmanager import AddonManager, traverse
from mitmproxy.exceptions import AddonHalt, OptionsError
from mitmproxy.flow import Flow
from mitmproxy.hooks import Hook, UpdateHook
from mitmproxy.master import Master

log = logging.getLogger("wiretape")

type Listener = Callable[..., Any]


class Listeners(AddonManager):
    """mitmproxy's addon manager with a table of who listens to what.

    Its own asks every addon about every hook and about the update after it, a third of the time of
    a hit. An addon must have all its hooks before it is added. As there, an addon that raises is
    logged, and the next one still has its turn.
    """

    def __init__(self, master: Master) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]
        self._table: dict[str, tuple[Listener, ...]] = {}

    def add(self, *addons: object) -> None:
        super().add(*addons)  # type: ignore[no-untyped-call]
        self._table.clear()

    def remove(self, addon: object) -> None:
        super().remove(addon)  # type: ignore[no-untyped-call]
        self._table.clear()

    def _listening(self, name: str) -> tuple[Listener, ...]:
        listening = self._table.get(name)
        if listening is None:
            found = (getattr(addon, name, None) for addon in traverse(self.chain))
            listening = self._table[name] = tuple(function for function in found if callable(function))
        return listening

    async def trigger_event(self, event: Hook) -> None:
        values = event.args()
        for function in self._listening(event.name):
            try:
                result = function(*values)
                if result is not None and inspect.isawaitable(result):
                    await result
            except AddonHalt:
                return
            except OptionsError:
                raise
            except Exception as error:
                log.error("Addon error: %s", error, exc_info=True)

    async def handle_lifecycle(self, event: Hook) -> None:
        await self.trigger_event(event)
        if self._listening(UpdateHook.name) and isinstance(message := event.args()[0], Flow):
            await self.trigger_event(UpdateHook([message]))
