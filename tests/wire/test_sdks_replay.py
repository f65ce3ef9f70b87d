"""Real SDKs behind a real proxy that replays what it recorded, with no provider there any more."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.wire.heard import Heard
from tests.wire.proxy import Proxy
from tests.wire.sdks import MODELS, QUIET, WAYS, Way
from tests.wire.upstream import Upstream

pytestmark = QUIET

RECORDED = [*WAYS, MODELS]


@dataclass(slots=True)
class Tape:
    """What was recorded: the proxy that now replays, and what each way of asking gave or raised."""

    proxy: Proxy
    text: str
    given: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def tape(module_proxy: Callable[..., Proxy], upstream: Upstream) -> Tape:
    """Everything recorded once; then the provider goes for good and the proxy starts again to replay."""
    recording = Tape(module_proxy("record"), f"recorded {uuid.uuid4()}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in recording.proxy.env.items():
            patch.setenv(name, value)
        for way in RECORDED:
            try:
                recording.given[way.name] = way.ask(recording.text)
            except way.error as error:
                recording.given[way.name] = error
    upstream.stop()
    recording.proxy.restart(mode="replay")
    return recording


@pytest.mark.parametrize("way", RECORDED, ids=lambda way: way.name)
def test_what_was_recorded_is_replayed(way: Way, tape: Tape, heard: Heard, behind: Callable[[Proxy], None]) -> None:
    behind(tape.proxy)
    assert way.ask(tape.text) == tape.given[way.name]
    assert {headers["x-wiretape-outcome"] for _, headers in heard} == {"hit"}
    assert {headers["x-wiretape-source"] for _, headers in heard} == {"cache"}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_what_was_not_recorded_is_the_sdk_s_own_error_at_once(
    way: Way, tape: Tape, salt: str, heard: Heard, behind: Callable[[Proxy], None]
) -> None:
    behind(tape.proxy)
    with pytest.raises(way.error) as raised:
        way.ask(salt)
    assert getattr(raised.value, way.status) == 424
    ((status, headers),) = heard  # one: nobody tried again
    assert status == 424
    assert headers["x-wiretape-outcome"] == "not-recorded"
    assert headers["x-should-retry"] == "false"
    assert "not recorded" in str(raised.value)
    # Values are shortened to 70 characters, of which the protocol's own JSON may take half.
    assert salt[:30] in str(raised.value), "the message does not name what differs"
