"""A command runs as if nothing stood between it and whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from addons.cli.exec import run_child

ROOT = Path(__file__).parents[2]

RUNNER = """
import asyncio, os, sys
from addons.cli.exec import run_child
sys.exit(asyncio.run(run_child(sys.argv[1:], os.environ)))
"""

ON_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n" + RUNNER

COUNTING = """
import signal, sys
def note(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    if number == signal.SIGUSR1:
        sys.exit(7)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), note)
print("ready", flush=True)
while True:
    signal.pause()
"""


def _python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


async def _run(code: str, *arguments: str) -> int:
    return await run_child(_python(code, *arguments), os.environ)


@pytest.mark.parametrize("status", [0, 1, 77, 255])
async def test_the_exit_status_is_the_commands(status: int) -> None:
    assert await _run(f"raise SystemExit({status})") == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
async def test_an_end_by_signal_is_told_as_shells_do(number: signal.Signals) -> None:
    assert await _run(f"import os; os.kill(os.getpid(), {number:d})") == 128 + number


async def test_the_environment_is_exactly_the_one_given(capfd: pytest.CaptureFixture[str]) -> None:
    assert await run_child(["/usr/bin/env"], {"ONE": "1"}) == 0
    assert capfd.readouterr().out == "ONE=1\n"


async def test_no_such_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert await run_child(["no-such-command"], os.environ) == 127
    said = capfd.readouterr().err
    assert said.startswith("wiretape: no-such-command: there is no such command")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("#!/bin/sh\n", 0o644, "cannot be run: Permission denied"),
        ("#!/no/such/interpreter\n", 0o755, "interpreter"),
        ("echo no first line\n", 0o755, "cannot be run: Exec format error"),
    ],
)
async def test_a_command_that_cannot_be_run(
    content: str, mode: int, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program"
    program.write_text(content)
    program.chmod(mode)
    assert await run_child([str(program)], os.environ) == 126
    assert message in capfd.readouterr().err


async def test_cancelled_it_ends_the_command_first(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = "import os, signal, sys; open(sys.argv[1], 'w').write(str(os.getpid())); signal.pause()"
    running = asyncio.create_task(_run(code, str(pipe)))
    child = int(await asyncio.to_thread(pipe.read_text))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_signals_do_by_default_what_they_did_before() -> None:
    assert await _run("0") == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"])
def test_a_signal_to_us_alone_reaches_the_command(name: str) -> None:
    command = [sys.executable, "-c", RUNNER, *_python(COUNTING, name, "SIGUSR1")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, name))
        assert process.stdout.readline() == f"got {name}\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == "got SIGUSR1\n"
        assert process.wait() == 7


def test_what_is_ignored_here_is_ignored_there() -> None:
    asking = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    runner = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + RUNNER
    done = subprocess.run([sys.executable, "-c", runner, *_python(asking)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_the_keyboard_interrupts_the_command_once_and_it_may_read_the_terminal() -> None:
    reading = COUNTING.replace('print("ready"', 'print("read", input(), flush=True)\nprint("ready"')
    terminal, inner = os.openpty()
    command = [sys.executable, "-c", ON_TERMINAL, *_python(reading, "SIGINT", "SIGUSR1")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=inner, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        os.close(inner)
        assert process.stdout is not None
        os.write(terminal, b"a line\n")
        assert process.stdout.readline() == "read a line\n"
        assert process.stdout.readline() == "ready\n"
        os.write(terminal, b"\x03")
        assert process.stdout.readline() == "got SIGINT\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == "got SIGUSR1\n"
        assert process.wait() == 7
    os.close(terminal)
