"""In replay mode nothing leaves the machine for allow-listed hosts: what is still unanswered is refused here."""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addons import answers, exchange
from addons.exchange import Outcome
from addons.explain import Explanation, explain
from addons.protocols import PROTOCOLS
from cache import Store, StoreError
from config import Providers


class Offline:
    """Last before the tracing: fails closed, whatever broke before it."""

    def __init__(self, store: Store, providers: Providers, how: str, namespace: str) -> None:
        self._store = store
        self._providers = providers
        self._how = how
        self._namespace = namespace

    async def request(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None:
            return
        found = exchange.of(flow)
        if found is None:
            if self._providers.find(flow.request.scheme, flow.request.host, flow.request.port) is not None:
                error = PROTOCOLS["other"].error(424, "wiretape: not recorded (not recognised)", "not_recorded")
                flow.response = answers.refusal(424, error)
            return
        # Answered before anything that may fail, so that no failure below lets the request out.
        flow.response = answers.refusal(424, found.protocol.error(424, "wiretape: not recorded", "not_recorded"))
        found.outcome = Outcome.NOT_RECORDED
        try:
            why = await explain(self._store, found, self._how, self._namespace)
        except StoreError as error:
            why = Explanation(f"the store cannot be read: {error}")
        found.reason = why.reason
        flow.response = answers.refusal(424, found.protocol.error(424, f"wiretape: {why}", "not_recorded"))

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """The last line of all: no connection to an allow-listed host is even opened."""
        address = data.server.address
        if address is not None and self._providers.opens(address[0], address[1]):
            data.server.error = "wiretape is in replay mode"
