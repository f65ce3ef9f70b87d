"""Run one command in the foreground as if nothing stood between it and the terminal."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

CANNOT_RUN = 126
NOT_FOUND = 127


async def run_child(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run `command` with exactly `env` and our standard streams, pass signals on, wait for its end.

    Returns its exit status, 128 + N when signal N ended it, 127 when there is no such command and
    126 when it cannot be run, after one line on standard error (the numbers shells use). Cancelled,
    it terminates the command first. While it runs, the signals in FORWARDED belong to the command;
    afterwards they do what they do by default.
    """
    loop = asyncio.get_running_loop()
    relay = _Relay()
    # What is ignored here (by nohup, say) the child has to inherit as ignored.
    relayed = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    for number in relayed:
        loop.add_signal_handler(number, relay.take, number)
    try:
        # The child stays in our process group: only there may it read from the terminal.
        child = await asyncio.create_subprocess_exec(*command, env=env)
        relay.attach(child)
        try:
            status = await child.wait()
        finally:
            await _end(child)
    except OSError as error:
        return _explain(command[0], env, error)
    finally:
        for number in relayed:
            loop.remove_signal_handler(number)
    return 128 - status if status < 0 else status


class _Relay:
    """Passes signals on to a child, also those that came while it was being started."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._waiting: list[signal.Signals] = []

    def take(self, number: signal.Signals) -> None:
        if self._child is None:
            self._waiting.append(number)
        elif self._child.returncode is None and not (number in (signal.SIGINT, signal.SIGQUIT) and _typed()):
            self._child.send_signal(number)

    def attach(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        for number in self._waiting:
            child.send_signal(number)


def _typed() -> bool:
    """Whether a keyboard signal comes from the keyboard, and so has reached the child already.

    The terminal sends it to the whole foreground process group, which is ours and the child's.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.terminate()
        await child.wait()


def _explain(program: str, env: Mapping[str, str], error: OSError) -> int:
    missing = isinstance(error, FileNotFoundError)
    if missing and shutil.which(program, path=env.get("PATH")) is None:
        status, reason = NOT_FOUND, "there is no such command: check its name and PATH"
    elif missing:
        status, reason = CANNOT_RUN, "the interpreter its first line names does not exist"
    else:
        status, reason = CANNOT_RUN, f"it cannot be run: {error.strerror}"
    print(f"wiretape: {program}: {reason}", file=sys.stderr)
    return status
