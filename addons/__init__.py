"""What happens to a request: the addons, in the order that tells the story."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addons.embeddings import Embeddings
    from addons.exchange import Exchange
    from addons.replies import Replies
    from addons.trace import Trace
    from addons.upstream import Upstream
    from cache import Store
    from config import Providers, Settings


@dataclass(frozen=True, slots=True)
class Addons:
    """The addons of one proxy, and those that someone has to speak to by name."""

    ordered: tuple[object, ...]
    embeddings: Embeddings
    replies: Replies
    trace: Trace


def all_addons(
    settings: Settings,
    providers: Providers,
    store: Store,
    upstream: Upstream,
    report: Callable[[Exchange, float, int], None],
) -> Addons:
    """Every addon of ours, in order.

    `Recognize` says what a request is, `Embeddings` and `Replies` answer it or ask for it,
    `Offline` refuses in replay mode what is still unanswered, `Trace` tells what happened.
    """
    # Imported here so that commands which run no proxy do not wait for mitmproxy.
    from addons import embeddings, recognize, replies
    from addons.admission import Admission
    from addons.door import Door
    from addons.master import ConnectTo
    from addons.offline import Offline
    from addons.rules import Rules
    from addons.runs import Runs
    from addons.trace import Trace

    runs = Runs()
    admission = Admission(settings.keep.model_dump(), settings.record_errors)
    rules = Rules(
        namespace=settings.namespace,
        version=settings.version,
        refresh_below=settings.refresh_below,
        max_age=settings.max_age,
        on_exhausted=settings.on_exhausted,
        follow_timeout=settings.follow_timeout,
    )
    whole = replies.Replies(store, upstream, rules, admission, runs)
    items = embeddings.Embeddings(store, upstream, rules)
    whole.recorded.append(items.learn)
    trace = Trace(store, report)
    first = recognize.Recognize(
        providers,
        recognize.Policy(
            settings.mode, settings.unknown, settings.match, settings.namespace, settings.max_request_bytes
        ),
        Door(settings.host),
    )
    ordered: list[object] = [first, items, whole]
    if settings.mode == "replay":
        ordered.append(Offline(store, providers, how_to_record(settings), settings.namespace))
    if settings.upstream.connect_to:
        ordered.append(ConnectTo(settings.upstream.connect_to))
    ordered.append(trace)
    return Addons(tuple(ordered), items, whole, trace)


def how_to_record(settings: Settings) -> str:
    """The command that records what is missing."""
    where = f" --cassette {settings.cassette}" if settings.cassette else ""
    return f"run.py --mode record{where} exec -- COMMAND"
