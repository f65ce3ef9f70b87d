"""`stats`: what is stored, what happened, and what it saved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict

from addons.cli import output
from addons.cli.opening import opened_store
from addons.cli.units import size, waiting
from cache import Tally
from config import Settings

_COUNTED = ("hit", "local", "partial", "miss", "pass", "not-recorded", "refused", "cut")
_ASKED = ("hit", "local", "partial", "miss", "cut")
"""Outcomes of requests that could have been hits."""


async def stats(settings: Settings, *, as_json: bool) -> int:
    """Print the sizes of the store and its books."""
    store = await opened_store(settings)
    try:
        found = await store.stats()
    finally:
        await store.close()
    if as_json:
        output.as_json(
            {
                "replies": found.replies,
                "vectors": found.vectors,
                "bytes": found.bytes,
                "tallies": [asdict(tally) for tally in found.tallies],
            }
        )
        return 0
    print(f"{found.replies:,} replies, {found.vectors:,} vectors, {size(found.bytes)}")
    if not found.tallies:
        print("no exchange yet")
        return 0
    _by_model(found.tallies)
    _reasons(found.tallies)
    return 0


def _by_model(tallies: tuple[Tally, ...]) -> None:
    groups: dict[tuple[str, str], list[Tally]] = defaultdict(list)
    for tally in tallies:
        groups[tally.provider, tally.model].append(tally)
    shown = [word for word in _COUNTED if any(tally.outcome == word for tally in tallies)]
    rows = [(provider, model or "-", *_numbers(group, shown)) for (provider, model), group in sorted(groups.items())]
    if len(rows) > 1:
        rows.append(("all", "", *_numbers(tallies, shown)))
    columns = ("provider", "model", *shown, "hit\nrate", "tokens\nbilled", "tokens\nsaved", "time\nsaved")
    print()
    output.table(columns, rows, right=columns[2:], cut=("model",))


def _numbers(group: Sequence[Tally], shown: Sequence[str]) -> list[object]:
    counts: dict[str, int] = defaultdict(int)
    for tally in group:
        counts[tally.outcome] += tally.count
    asked = sum(counts[word] for word in _ASKED)
    return [
        *(counts[word] for word in shown),
        f"{100 * (counts['hit'] + counts['local']) / asked:.0f} %" if asked else "-",
        f"{sum(t.input_tokens + t.output_tokens for t in group):,}",
        f"{sum(t.saved_input_tokens + t.saved_output_tokens for t in group):,}",
        waiting(sum(t.saved_ms for t in group)),
    ]


def _reasons(tallies: tuple[Tally, ...]) -> None:
    """Why something went past the cache or was not kept, most frequent first."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for tally in tallies:
        if tally.note:
            counts[tally.outcome, tally.note] += tally.count
    if counts:
        rows = [(outcome, note, count) for (outcome, note), count in sorted(counts.items(), key=lambda pair: -pair[1])]
        print()
        output.table(("outcome", "why it was not kept", "count"), rows, right=("count",), cut=("why it was not kept",))
