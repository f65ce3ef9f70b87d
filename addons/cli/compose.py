"""A whole proxy, put together from settings, run, and taken apart again without losing anything."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import certifi

from addons import all_addons
from addons.certificates import authority, write_whole
from addons.cli.opening import opened_store
from addons.exchange import Exchange
from addons.master import BindError, ProxyMaster
from addons.protocols import PROTOCOLS
from addons.replies import Replies
from addons.trace import Trace
from addons.upstream import Upstream
from cache import Limits, Store, StoreError
from config import ConfigError, Providers, Settings

log = logging.getLogger("wiretape")

ROOTS_FILE = "upstream-roots.pem"


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that runs. `url` is where clients find it."""

    url: str
    master: ProxyMaster
    replies: Replies
    trace: Trace
    store: Store


@asynccontextmanager
async def proxy(settings: Settings, report: Callable[[Exchange, float, int], None]) -> AsyncIterator[Running]:
    """Run a proxy for as long as the context lasts.

    Raises ConfigError, CertificateError, StoreError or BindError when it cannot start. On leaving,
    nothing new is accepted and what is in flight gets `drain_timeout` seconds.
    """
    providers = Providers.load(settings.providers, PROTOCOLS)
    ours = authority(settings.home)
    store = await opened_store(settings)
    try:
        upstream = _upstream(settings)
        made = all_addons(settings, providers, store, upstream, report)
        master = ProxyMaster(
            made.ordered,
            ours,
            host=settings.host,
            port=settings.port,
            opens=providers.opens,
            roots=_roots(settings),
            stream_above=None if settings.mode == "replay" else settings.max_request_bytes,
        )
        runs = asyncio.create_task(master.run(), name="proxy")
        pruning = asyncio.create_task(_prune(store, settings), name="prune")
        try:
            await _started(master, runs)
            # What was loaded to start stays to the end: the collector need not look through it again and again.
            gc.collect()
            gc.freeze()
            host = f"[{master.address[0]}]" if ":" in master.address[0] else master.address[0]
            yield Running(f"http://{host}:{master.address[1]}", master, made.replies, made.trace, store)
        finally:
            pruning.cancel()
            await _stop(master, runs, made.replies, made.trace, upstream, settings.drain_timeout)
    finally:
        await store.close()


async def _started(master: ProxyMaster, runs: asyncio.Task[None]) -> None:
    started = asyncio.create_task(master.started.wait())
    await asyncio.wait({started, runs}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if runs.done():
        if (error := runs.exception()) is not None:
            raise error
        raise BindError("the proxy stopped while it was starting")


async def _stop(
    master: ProxyMaster, runs: asyncio.Task[None], replies: Replies, trace: Trace, upstream: Upstream, drain: float
) -> None:
    """Accept nothing new, let what is in flight end, store what it brought."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + drain
    if not runs.done():
        await master.stop_listening()
        with suppress(TimeoutError):
            await asyncio.wait_for(trace.idle(), drain)
    await upstream.close(max(0.0, deadline - loop.time()))
    await replies.drain()
    master.shutdown()  # type: ignore[no-untyped-call]
    await asyncio.wait({runs})


def _upstream(settings: Settings) -> Upstream:
    try:
        return Upstream(
            ca_file=settings.upstream.ca_file,
            connect_to=settings.upstream.connect_to,
            connect_timeout=settings.upstream.connect_timeout,
            idle_timeout=settings.upstream.idle_timeout,
            linger_timeout=settings.linger_timeout,
            reply_limit=settings.max_reply_bytes,
        )
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"upstream.ca_file={settings.upstream.ca_file}: no readable PEM certificates ({error})"
        ) from None


def _roots(settings: Settings) -> Path:
    """The authorities that providers are checked against, as the one file mitmproxy takes."""
    if settings.upstream.ca_file is None:
        return Path(certifi.where())
    path = settings.home / ROOTS_FILE
    write_whole(path, Path(certifi.where()).read_bytes() + b"\n" + settings.upstream.ca_file.read_bytes())
    return path


async def _prune(store: Store, settings: Settings) -> None:
    """Keep the store within its limits, now and then."""
    limits = Limits(settings.max_age, settings.max_entries, settings.max_bytes)
    if limits == Limits():
        return
    while True:
        try:
            await store.prune(limits)
        except StoreError as error:
            log.warning("the store could not be pruned: %s", error)
        await asyncio.sleep(settings.prune_every)
