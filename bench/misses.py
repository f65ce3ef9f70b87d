"""What a miss costs over mitmdump passing it through: `uv run bench/misses.py --help`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from contestants import CHAT, HERE, REPLY, UPSTREAM_CA, apart, mitmdump, upstream, wiretape
from figures import Sample, Spread, quantile, ratios, table
from load import Broken, Contestant, Load, request

WANTED = 1.5
"""Milliseconds that a miss may take longer than the same request through mitmdump, at the median."""

OURS, STOCK = "wiretape", "mitmdump"
PLAIN, STREAM = "plain", "stream"

type Samples = dict[tuple[str, str], list[Sample]]
"""By contestant and kind of request, one for each round."""


def asking(stream: bool) -> Callable[[], bytes]:
    """Gives a request that was never made before, each time it is called."""
    body = {
        "messages": [
            {"role": "system", "content": "You answer questions about caches, briefly and without lists."},
            {"role": "user", "content": "When are two requests the same? " * 22 + "Question @@@@@@@@"},
        ],
        "model": "gpt-4o-mini",
        "temperature": 0,
        **({"stream": True} if stream else {}),
    }
    before, _, after = request(CHAT, json.dumps(body, separators=(",", ":")).encode()).partition(b"@@@@@@@@")
    numbers = itertools.count()
    return lambda: before + b"%08d" % next(numbers) + after


def started(stack: contextlib.ExitStack, folder: Path) -> list[Contestant]:
    """Both contestants, in front of one provider."""
    provider = stack.enter_context(upstream(folder / "upstream"))
    roots = folder / "upstream" / UPSTREAM_CA
    streaming = ("-s", HERE / "mitm_streaming.py")
    passing = stack.enter_context(
        mitmdump(STOCK, folder / "mitmdump", *streaming, ssl_verify_upstream_trusted_ca=roots)
    )
    # Sent elsewhere by an addon, mitmdump would open a connection for every request.
    there = dataclasses.replace(passing, target=f"127.0.0.1:{provider}")
    return [stack.enter_context(wiretape(OURS, folder / "wiretape", provider)), there]


def measure(contestants: Sequence[Contestant], rounds: int, seconds: float) -> Samples:
    """Both have their turn in each round, with either kind of request, over connections that stay open."""
    asks = {(one.name, kind): asking(kind == STREAM) for one in contestants for kind in (PLAIN, STREAM)}
    wanted = {PLAIN: REPLY, STREAM: b"data: [DONE]"}
    samples: Samples = {}
    with contextlib.ExitStack() as stack:
        loads = {
            (one.name, kind): stack.enter_context(Load(one, 1, wanted[kind]))
            for kind in (PLAIN, STREAM)
            for one in contestants
        }
        for turn in range(rounds + 1):
            for slot, load in loads.items():
                sample = load.run(seconds, asks[slot])
                if slot[0] == OURS and b"x-wiretape-outcome: miss" not in load.heads()[0]:
                    raise Broken(f"this is no miss: {load.heads()[0]!r}")
                if turn:  # the first round warms up
                    samples.setdefault(slot, []).append(sample)
    return samples


def added(samples: Mapping[tuple[str, str], Sequence[Sample]], kind: str, part: str) -> list[object]:
    """One row: how much later a part of the answer comes, in milliseconds, and as a multiple."""
    mine, stock = (
        [quantile(getattr(sample, part), 0.5) * 1000 for sample in samples[name, kind]] for name in (OURS, STOCK)
    )
    return [Spread.of([a - b for a, b in zip(mine, stock, strict=True)]), ratios(mine, stock)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="rounds in which each contestant has its turns")
    parser.add_argument("--seconds", type=float, default=0.4, help="length of a turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        apart()
        samples = measure(started(stack, Path(folder)), given.rounds, given.seconds)
    parts = (("whole answer", PLAIN, "whole"), ("first byte of a stream", STREAM, "first"))
    rows = [[label, *added(samples, kind, part)] for label, kind, part in parts]
    print(table(["p50 of a miss", f"added over {STOCK}, ms", f"against {STOCK} (= 1)"], rows))
    most = max(row[1].middle for row in rows if isinstance(row[1], Spread))
    print(f"\nless than {WANTED} ms added: {'yes' if most < WANTED else 'no'}")
    return 0 if most < WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
