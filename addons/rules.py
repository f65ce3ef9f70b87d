"""What makes a stored entry too old to be served, and the other rules the answering addons share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from addons.directives import Directives

OFF_LOOP = 1 << 18
"""Bodies of more bytes than this are read in a thread, so that nobody else waits for it."""


async def aside[**P, T](size: int, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Do `work` on so many bytes, in a thread where it would hold others up."""
    return work(*args, **named) if size <= OFF_LOOP else await asyncio.to_thread(work, *args, **named)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide about stored entries: see config/settings.py for each. Times in seconds."""

    namespace: str
    version: int
    refresh_below: int
    max_age: float | None
    on_exhausted: str
    follow_timeout: float


def stale(created: float, version: int, directives: Directives, rules: Rules) -> str:
    """Why an entry may not be served, in the words RFC 9211 has for `fwd`; empty if it may.

    `created` is in Unix seconds.
    """
    age = time.time() - created
    if directives.no_cache or (directives.max_age is not None and age >= directives.max_age):
        return "request"
    if (rules.max_age is not None and age >= rules.max_age) or version < rules.refresh_below:
        return "stale"
    return ""
