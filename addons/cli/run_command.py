"""`run.py exec -- COMMAND`: a proxy on a free port for as long as one command runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from addons import how_to_record
from addons.cli import logs
from addons.cli.compose import Running, proxy
from addons.cli.environment import environment
from addons.cli.exec import CANNOT_RUN, NOT_FOUND, run_child
from addons.cli.units import waiting
from config import Settings


async def run_command(settings: Settings, command: Sequence[str], *, quiet: bool, chosen_port: bool) -> int:
    """Run `command` behind a proxy of its own and return its exit status.

    The proxy takes a free port unless one was chosen. Only warnings are logged while the command
    has the terminal, and one paragraph at the end sums up (not with `quiet`).
    """
    logs.set_up("warning" if settings.log_level == "info" else settings.log_level)
    if not chosen_port:
        settings = settings.model_copy(update={"port": 0})
    report = logs.Report()
    async with proxy(settings, report) as running:
        variables = environment(running.url, settings.home, os.environ, settings.exec.proxy_loopback)
        status = await run_child(command, {**os.environ, **variables})
    report.flush()
    if not quiet and (status not in (CANNOT_RUN, NOT_FOUND) or running.trace.totals):
        print(summary(running, settings), file=sys.stderr)
    return status


def summary(running: Running, settings: Settings) -> str:
    """What happened, in one paragraph."""
    mode = settings.mode
    totals: Mapping[str, int] = running.trace.totals
    counted = {name: count for name, count in totals.items() if not name.startswith("saved_")}
    calls = sum(counted.values())
    if not calls:
        return f"wiretape ({mode}): the command made no call to a known provider through the proxy."
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(counted.items(), key=lambda pair: -pair[1]))
    text = f"wiretape ({mode}): {calls} call{'s' if calls != 1 else ''}: {kinds}."
    if totals.get("saved_tokens") or totals.get("saved_ms"):
        text += f" Saved {totals.get('saved_tokens', 0):,} tokens and {waiting(totals.get('saved_ms', 0))} of waiting."
    if counted.get("not-recorded"):
        text += f" Record what is missing with: {how_to_record(settings)}"
    return text
