"""A mitmproxy master with no more in it than a transparent cache needs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mitmproxy import options
from mitmproxy.addons import core, disable_h2c, proxyserver, tlsconfig
from mitmproxy.master import Master
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addons.certificates import Authority
from addons.hooks import Listeners
from addons.live import Live, LiveNextLayer


class BindError(Exception):
    """The proxy cannot listen where it was told to."""


def _plain(error: Exception) -> str:
    """The system's own words for why a socket cannot be had, out of the wrappings around them."""
    number = getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else str(getattr(error.__cause__, "strerror", None) or error.__cause__)


class OwnTls(tlsconfig.TlsConfig):
    """mitmproxy's TLS with leaves made by our own authority."""

    def __init__(self, authority: Authority) -> None:
        self.certstore = authority.store()

    def configure(self, updated: set[str]) -> None:
        # Told of these, it would look for an authority of mitmproxy's name, and make one.
        super().configure(updated - {"certs", "confdir", "key_size", "cert_passphrase"})  # type: ignore[no-untyped-call]

    def running(self) -> None:
        """Nothing to do: the authority was there from the start."""


class ConnectTo:
    """Sends passed traffic to another address than its name says, as `upstream.connect_to` wants it."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._named: dict[str, tuple[str, int]] = {}

    def server_connect(self, data: ServerConnectionHookData) -> None:
        if data.server.address is None:
            return
        name, port = data.server.address[:2]
        address = self._addresses.get(f"{name}:{port}")
        if address is not None:
            host, _, number = address.rpartition(":")
            self._named[data.server.id] = (name, port)
            data.server.sni = data.server.sni or name
            data.server.address = (host, int(number))

    def server_connected(self, data: ServerConnectionHookData) -> None:
        """The connection gets its own name back: by that the next request finds it and opens no other."""
        if (named := self._named.pop(data.server.id, None)) is not None:
            # mitmproxy refuses to change the address of an open connection, as a rule for good reasons.
            object.__setattr__(data.server, "address", named)

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        self._named.pop(data.server.id, None)


class ProxyMaster(Master):
    """Runs the proxy on `host` and `port` (0 for a free one).

    Only hosts and ports that `opens` says yes to are decrypted. `roots` is a PEM file of the
    authorities that providers' certificates are checked against. A body of more than `stream_above`
    bytes is not held in memory as a whole but passed on as it comes; None where nothing is passed.
    `address` is where the proxy listens, once `started` is set.
    """

    def __init__(
        self,
        addons: Sequence[object],
        authority: Authority,
        *,
        host: str,
        port: int,
        opens: Callable[[str, int], bool],
        roots: Path,
        stream_above: int | None,
    ) -> None:
        super().__init__(
            options.Options(
                listen_host=host,
                listen_port=port,
                ssl_verify_upstream_trusted_ca=str(roots),
                upstream_cert=False,  # on a hit no packet leaves: our certificate is made from the name alone
            )
        )
        # Would send every line of the log through all hooks, for addons of ten years ago.
        self._legacy_log_events.uninstall()
        self.addons = Listeners(self)
        self.proxyserver = proxyserver.Proxyserver()
        self.started = asyncio.Event()
        self.address: tuple[str, int] = ("", 0)
        self.addons.add(
            core.Core(),
            self.proxyserver,
            disable_h2c.DisableH2C(),
            LiveNextLayer(opens),
            OwnTls(authority),
            Live(self.proxyserver),
            *addons,
        )
        self.options.update(
            connection_strategy="lazy",
            stream_large_bodies=None if stream_above is None else str(stream_above),
        )

    async def running(self) -> None:
        """The sockets should be bound now. Raises BindError if they are not."""
        servers = list(self.proxyserver.servers)
        for server in servers:
            if server.last_exception is not None:
                where = f"{self.options.listen_host}:{self.options.listen_port}"
                why = _plain(server.last_exception)
                raise BindError(f"cannot listen on {where}: {why}; choose another with --host or --port")
        host, port = next(address for server in servers for address in server.listen_addrs)[:2]
        self.address = (str(host), int(port))
        await super().running()
        self.started.set()

    async def stop_listening(self) -> None:
        """Accept no more connections; those that are open stay so."""
        await self.proxyserver.servers.update([])
