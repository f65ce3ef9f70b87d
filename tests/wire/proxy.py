"""The real proxy for tests: a process of its own with a home of its own, steered like a user steers it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.wire.reach import PATIENCE, ROOT, Reachable, clean_environment

LISTENING = re.compile(r"listening on http://([^:/\s]+):(\d+)")


class NotStarted(Exception):
    """The proxy ended instead of listening."""


def write_settings(home: Path, settings: Mapping[str, Any]) -> Path:
    """A wiretape.yaml in a working folder beside `home`; that folder."""
    folder = home.parent / f"{home.name}-work"
    folder.mkdir(parents=True, exist_ok=True)
    content = {name: value for name, value in settings.items() if value is not None}
    (folder / "wiretape.yaml").write_text(yaml.safe_dump(content))
    return folder


class Proxy(Reachable):
    """`run.py serve` as a process.

    `settings` go into its wiretape.yaml, dotted or nested; None leaves one out. stdout and stderr are
    gathered line by line in `log`.
    """

    def __init__(self, home: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(home)
        self.settings = dict(settings)
        self.log: list[str] = []
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def start(self) -> None:
        """Start and wait until it listens. Raises NotStarted with what it said if it ends before."""
        folder = write_settings(self.home, {"host": self.host, "port": self.port, **self.settings})
        begun = len(self.log)
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), "serve", "--home", str(self.home)],
            cwd=folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        line = self.wait_for(LISTENING, since=begun)
        found = LISTENING.search(line)
        assert found is not None
        self.host, self.port = found[1], int(found[2])

    def wait_for(self, pattern: str | re.Pattern[str], since: int = 0) -> str:
        """The first line of the log from `since` on that matches, waiting for it.

        Raises NotStarted if the process ends first, TimeoutError after `PATIENCE`.
        """
        wanted = re.compile(pattern)

        def found() -> str | None:
            return next((line for line in self.log[since:] if wanted.search(line)), None)

        with self._changed:
            done = self._changed.wait_for(lambda: found() is not None or self._ended, PATIENCE)
            line = found()
        said = "\n".join(self.log[since:])
        if line is not None:
            return line
        if done:
            raise NotStarted(f"the proxy ended without saying {wanted.pattern!r}; it said:\n{said}")
        raise TimeoutError(f"the proxy did not say {wanted.pattern!r}; it said:\n{said}")

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with self._changed:
            self._ended = False
        for line in process.stdout:
            with self._changed:
                self.log.append(line.rstrip("\n"))
                self._changed.notify_all()
        process.stdout.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        """The process while it runs."""
        assert self._process is not None
        return self._process.pid

    def wait(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        assert self._process is not None
        code = self._process.wait(PATIENCE)
        self._process = None
        return code

    def stop(self) -> int | None:
        """Ask it to end (SIGTERM), wait for it, and give its exit code; None if it did not run."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(number)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def restart(self, **settings: Any) -> None:
        """Stop, and start again on the same port and home with some settings changed."""
        self.stop()
        self.settings |= settings
        self.start()
