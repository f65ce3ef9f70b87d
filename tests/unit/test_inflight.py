"""Which answers equal requests may share."""

from __future__ import annotations

import pytest

from addons.inflight import Inflight
from addons.tape import Tape, UpstreamError

SLOT = ("local", "key", "plain")


async def test_the_first_is_shared_until_it_leaves() -> None:
    inflight, first, second = Inflight(), Tape(10), Tape(10)
    assert inflight.find(SLOT) is None
    inflight.enter(SLOT, first)
    inflight.enter(SLOT, second)
    assert inflight.find(SLOT) is first
    inflight.leave(SLOT, second)
    assert inflight.find(SLOT) is first
    inflight.leave(SLOT, first)
    inflight.leave(SLOT, first)
    assert (inflight.find(SLOT), len(inflight)) == (None, 0)


@pytest.mark.parametrize("other", [("other", "key", "plain"), ("local", "yek", "plain"), ("local", "key", "sse")])
async def test_no_other_tenant_key_or_form_shares(other: tuple[str, str, str]) -> None:
    inflight = Inflight()
    inflight.enter(SLOT, Tape(10))
    assert inflight.find(other) is None


async def test_what_failed_or_is_too_long_is_not_shared() -> None:
    inflight = Inflight()
    failed, long = Tape(10), Tape(10)
    inflight.enter(SLOT, failed)
    failed.finish(UpstreamError("gone"))
    assert inflight.find(SLOT) is None
    inflight.leave(SLOT, failed)
    inflight.enter(SLOT, long)
    long.add(b"x" * 11)
    assert inflight.find(SLOT) is None
