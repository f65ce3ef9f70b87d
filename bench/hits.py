"""Answers from the store against stock mitmdump: `uv run bench/hits.py --help`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from contestants import CHAT, HERE, REPLY, apart, mitmdump, upstream, wiretape
from figures import Sample, quantile, ratios, table
from load import Broken, Contestant, Load, request

CONNECTIONS = (1, 16)
WANTED = 1.5
"""Hits per second, as a multiple of those of mitmdump with a constant reply."""

OURS, STOCK, REPLAY, POSTGRES = "wiretape", "constant", "server-replay", "wiretape, Postgres"

_PROMPT = "Say in one paragraph when two requests are the same, and what may be left out of the comparison. " * 7
ASK = request(
    CHAT,
    json.dumps(
        {
            "messages": [
                {"role": "system", "content": "You answer questions about caches, briefly and without lists."},
                {"role": "user", "content": _PROMPT},
            ],
            "model": "gpt-4o-mini",
            "temperature": 0,
            "max_tokens": 300,
        }
    ).encode(),
)

type Samples = dict[tuple[str, int], list[Sample]]
"""By contestant and number of connections, one for each round."""


def started(stack: contextlib.ExitStack, folder: Path, postgres: str | None) -> list[Contestant]:
    """All contestants, each with the answer in its store."""
    provider = stack.enter_context(upstream(folder / "upstream"))
    constant = ("-s", HERE / "mitm_constant.py")
    flows = folder / "flows"
    with mitmdump("recording", folder / "recording", *constant, "-w", flows) as recording:
        ask_once(recording)
    replay = ("--server-replay", flows)
    made = [
        stack.enter_context(wiretape(OURS, folder / "wiretape", provider)),
        stack.enter_context(mitmdump(STOCK, folder / "constant", *constant)),
        stack.enter_context(mitmdump(REPLAY, folder / "replay", *replay, server_replay_reuse="true")),
    ]
    if postgres is not None:
        made.append(stack.enter_context(wiretape(POSTGRES, folder / "postgres", provider, store=postgres)))
    for one in made:
        ask_once(one)
        head = ask_once(one)
        if one.name in (OURS, POSTGRES) and b"x-wiretape-outcome: hit" not in head:
            raise Broken(f"{one.name} does not answer from its store: {head!r}")
    return made


def ask_once(contestant: Contestant) -> bytes:
    """One exchange; the head of its answer."""
    with Load(contestant, 1, REPLY) as load:
        load.run(0, lambda: ASK)
        return load.heads()[0]


def measure(contestants: Sequence[Contestant], rounds: int, seconds: float) -> Samples:
    """Every contestant has its turn in each round, one after the other, over connections that stay open."""
    samples: Samples = {}
    with contextlib.ExitStack() as stack:
        loads = {
            (one.name, count): stack.enter_context(Load(one, count, REPLY))
            for count in CONNECTIONS
            for one in contestants
        }
        for turn in range(rounds + 1):
            for slot, load in loads.items():
                sample = load.run(seconds, lambda: ASK)
                if turn:  # the first round warms up
                    samples.setdefault(slot, []).append(sample)
    return samples


def told(samples: Mapping[tuple[str, int], Sequence[Sample]]) -> str:
    """Every contestant as a multiple of mitmdump with a constant reply."""
    names = list(dict.fromkeys(name for name, _ in samples))
    rows: list[list[object]] = []
    for count in CONNECTIONS:
        stock = samples[STOCK, count]
        for name in names:
            if name == STOCK:
                continue
            mine = samples[name, count]
            latencies = [
                ratios([quantile(s.whole, share) for s in mine], [quantile(s.whole, share) for s in stock])
                for share in (0.5, 0.99)
            ]
            rate = ratios([s.rate for s in mine], [s.rate for s in stock])
            work = ratios([s.work for s in mine], [s.work for s in stock])
            rows.append([count, name, rate, *latencies, work])
    return table(["connections", f"against {STOCK} (= 1)", "hits/s", "p50", "p99", "processor time per hit"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds in which each contestant has one turn")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument("--postgres", metavar="URL", help="an empty database: measure wiretape on Postgres too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        apart()
        contestants = started(stack, Path(folder), given.postgres)
        samples = measure(contestants, given.rounds, given.seconds)
    print(told(samples))
    reached = [
        ratios([s.rate for s in samples[OURS, count]], [s.rate for s in samples[STOCK, count]]).middle
        for count in CONNECTIONS
    ]
    met = min(reached) >= WANTED
    print(f"\nat least {WANTED} times the hits/s of {STOCK}: {'yes' if met else 'no'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
