"""The real proxy inside the test's own process, for tests that have to reach into it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from addons.cli.compose import Running, proxy
from addons.exchange import Exchange
from config import load
from tests.wire.proxy import write_settings
from tests.wire.reach import PATIENCE, Reachable


class Inside(Reachable):
    """The same proxy on an event loop in a thread of its own.

    `running` is what it is made of, `exchanges` each exchange that is over with its milliseconds.
    """

    def __init__(self, home: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(home)
        self.settings = dict(settings)
        self.exchanges: list[tuple[Exchange, float]] = []
        self.running: Running
        self._loop = asyncio.new_event_loop()
        self._asked = asyncio.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start and wait until it listens; raises whatever keeps it from that."""
        started: concurrent.futures.Future[Running] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._live, args=(started,), daemon=True)
        self._thread.start()
        self.running = started.result(PATIENCE)
        host, _, port = self.running.url.removeprefix("http://").rpartition(":")
        self.host, self.port = host, int(port)

    def _live(self, started: concurrent.futures.Future[Running]) -> None:
        async def main() -> None:
            folder = write_settings(self.home, {"host": self.host, "port": 0, **self.settings})
            settings = load(None, {"WIRETAPE_HOME": str(self.home)}, folder).settings
            async with proxy(settings, self._report) as running:
                started.set_result(running)
                await self._asked.wait()

        try:
            self._loop.run_until_complete(main())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            self._loop.close()

    def _report(self, exchange: Exchange, milliseconds: float, _: int) -> None:
        self.exchanges.append((exchange, milliseconds))

    def call[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the proxy's own loop and wait for what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def stop(self) -> None:
        """End it as a SIGTERM would, and wait for that."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._loop.call_soon_threadsafe(self._asked.set)
        thread.join(PATIENCE)
        if thread.is_alive():
            raise TimeoutError("the proxy does not stop")
