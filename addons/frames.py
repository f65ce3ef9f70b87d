"""What stands around the vectors in a provider's reply: kept once per model and parameters.

A merged reply is built from it, so that it has every member the provider would have sent.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

from addons.secrets import dump, holds
from cache import Reply, Store, StoreError

if TYPE_CHECKING:
    from addons.exchange import Exchange

log = logging.getLogger("wiretape")

FORM = "frame"
"""The form such an entry has in the store: no client ever asks for it."""


class Frames:
    """Frames by tenant and the key of their vector space."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, found: Exchange, key: str) -> Any:
        """The frame of a space as a JSON value; None if there is none or the store cannot be read."""
        try:
            reply = await self._store.get(found.tenant, key, FORM)
            return None if reply is None else json.loads(reply.body)
        except (StoreError, ValueError) as error:
            log.warning("the frame of an embedding reply cannot be read: %s", error)
            return None

    async def keep(self, found: Exchange, key: str, frame: Any, version: int) -> None:
        """Store the frame of a space unless it has one. Raises StoreError."""
        if not frame or await self._store.count(found.tenant, key, FORM):
            return
        body = dump(frame)
        if holds(body, found.unkeepable):
            return
        now = time.time()
        await self._store.put(
            Reply(
                tenant=found.tenant,
                key=key,
                form=FORM,
                provider=found.provider.name,
                protocol=found.protocol.name,
                host=found.host,
                operation=FORM,
                model=found.model,
                request=b'{"method":"","url":"","headers":[],"body":null}',
                status=200,
                headers=(("content-type", "application/json"),),
                body=body,
                version=version,
                created=now,
                last_used=now,
            )
        )
