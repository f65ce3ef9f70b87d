"""`run.py`: start the proxy and stay until told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from addons.cli import logs
from addons.cli.compose import Running, proxy
from addons.cli.environment import environment, shell_lines
from config import Settings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


async def serve(settings: Settings) -> int:
    """Run the proxy until SIGINT or SIGTERM; a second one does not wait for what is in flight."""
    logs.set_up(settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    report = logs.Report()
    async with proxy(settings, report) as running:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked)
        print(greeting(running, settings), file=sys.stderr, flush=True)
        await stop.wait()
        print("wiretape is stopping", file=sys.stderr, flush=True)
    report.flush()
    return 0


def greeting(running: Running, settings: Settings) -> str:
    """Where the proxy listens and what to type in another terminal."""
    where = (
        f"cassette {settings.cassette}" if settings.cassette else settings.store or "SQLite in " + str(settings.home)
    )
    variables = environment(running.url, settings.home, os.environ, settings.exec.proxy_loopback)
    lines = [f"wiretape listening on {running.url} (mode {settings.mode}, {logs.blotted(where)})", ""]
    lines += ["In another terminal, for programs that use proxies:", ""]
    lines += [f"  {line}" for line in shell_lines(variables, os.environ.get("SHELL", ""))]
    lines += ["", "For programs that take a base URL instead:", ""]
    lines += [f"  export OPENAI_BASE_URL={running.url}/v1", f"  export ANTHROPIC_BASE_URL={running.url}/anthropic", ""]
    lines += ["Or let wiretape start the program: run.py exec -- COMMAND", ""]
    if settings.host not in _LOOPBACK:
        lines += [
            f"Careful: {settings.host} can be reached from elsewhere, and whoever reaches it may use this proxy.",
            "",
        ]
    return "\n".join(lines)
